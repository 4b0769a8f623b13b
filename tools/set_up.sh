#!/bin/sh
# Makes an environment, or adds what is missing to it: `sh tools/set_up.sh book`, `pdf`, `lab` or `test`, as `make` calls it.
# The first two go into .venv-book, which needs no PyTorch, the other two into .venv. PYTHON says which Python; uv does the
# work where it is installed, else pip.
# `sh tools/set_up.sh stale FOLDER` prints why that environment cannot be used any more, or nothing.
set -eu

fail() {
  echo "$1" >&2
  exit 1
}

version() { "$1" -I -c 'import sys; print("Python %d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

# An environment's programs do not run in a folder that was renamed or copied since, nor after its Python has gone.
# One without a note was not made here, or was cut off at its start: it is completed, and nothing in it is removed.
stale() {
  [ -e "$1/.made" ] || return 0
  folder=$(sed -n 1p "$1/.made")
  python=$(sed -n 2p "$1/.made")
  if [ "$folder" != "$(pwd -P)" ]; then
    echo "$1 was made in $folder, and not here"
  elif [ "$(version "$1/bin/python")" != "$python" ]; then
    echo "$1 was made with $python, which has gone"
  elif [ -n "${WANTED-}" ] && [ "$(version "$WANTED")" != "$python" ]; then
    echo "$1 was made with $python, and $WANTED is $(version "$WANTED")"
  fi
}

case ${1-} in
  stale) stale "$2"; exit ;;
  book) venv=.venv-book cost="half a minute and 0.3 GB" ;;
  pdf) venv=.venv-book cost="a few seconds and 0.2 GB more" ;;
  lab) venv=.venv cost="about two minutes and 6 GB" ;;
  test) venv=.venv cost="about two minutes and 7 GB" ;;
  *) fail "usage: sh tools/set_up.sh book|pdf|lab|test" ;;
esac
PYTHON=${PYTHON-python3}
python=$venv/bin/python

command -v "$PYTHON" >/dev/null || fail "$PYTHON was not found: install Python 3.11 or later, or say PYTHON=/path/to/python"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  fail "This book needs Python 3.11 or later, and $PYTHON is $("$PYTHON" --version 2>&1 | head -n 1): say PYTHON=python3.12, for example"
uv=$(command -v uv || true)
[ -n "$uv" ] || "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "$PYTHON cannot make virtual environments: install its venv module (on Debian or Ubuntu: apt install python3-venv)"

why=$(stale "$venv")
if [ -n "$why" ]; then
  echo "$why: making it anew"
  rm -rf "$venv"
fi
[ "$1" != test ] || [ ! -e .venv/.lab ] || cost="about a minute and 0.6 GB more"
echo "Setting up $venv with $([ -n "$uv" ] && echo uv || echo pip): $cost, once."
# A set-up that was cut off leaves a package without its last two files, which would pass for a whole one.
for package in "$venv"/lib/python*/*/*.dist-info; do
  [ ! -d "$package" ] || { [ -s "$package/RECORD" ] && [ -e "$package/INSTALLER" ]; } || rm -rf "$package"
done
if [ ! -e "$venv/.made" ]; then
  if [ -n "$uv" ]; then
    uv venv --quiet --allow-existing --python "$("$PYTHON" -c 'import sys; print(sys.executable)')" "$venv"
  else
    "$PYTHON" -m venv "$venv"
  fi
  printf '%s\n' "$(pwd -P)" "$(version "$python")" >"$venv/.made"
fi

if [ -n "$uv" ]; then
  pip() { command=$1 && shift && uv pip "$command" --quiet --python "$python" "$@"; }
else
  # uv, which may have made it, puts no pip there.
  "$python" -c 'import pip' 2>/dev/null || "$python" -m ensurepip >/dev/null
  pip() { "$python" -m pip --quiet "$@"; }
fi

# One resolve for everything, since a second could move what the first has chosen.
"$python" - "$1" >"$venv/.wanted" <<'END'
import sys, tomllib
with open("pyproject.toml", "rb") as file:
    extras = tomllib.load(file)["project"]["optional-dependencies"]
print(*extras.get(sys.argv[1], []), sep="\n")
END
if [ "$venv" = .venv-book ]; then
  pip install -r "$venv/.wanted" -c constraints.txt
else
  pip install -r requirements.txt -r "$venv/.wanted" -c constraints.txt
  pip install --no-deps -e .
fi
pip check
