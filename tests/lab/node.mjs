// node tests/lab/node.mjs: prints the results as JSON.
import { readFileSync } from "node:fs";
import { results } from "./results.mjs";

const golden = JSON.parse(readFileSync(new URL("golden.json", import.meta.url), "utf8"));
console.log(JSON.stringify(results(golden)));
