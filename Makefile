# The two commands that matter: `make book` and `make test`. Both set up .venv when it is missing or out of date.

PYTHON ?= python3
PORT ?= 8000
IN = .venv/bin/python
READY = .venv/.ready
# Where .venv was set up; its programs do not run in a folder that was renamed or copied since.
MADE_IN := $(shell cat .venv/.ready 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help setup book test serve lab sync execute experiments benchmark repository clean
unexport PYTHONPATH PYTHONHOME PIP_USER
.DELETE_ON_ERROR:

help:
	@echo "make book        set up .venv and render the book to _build/html"
	@echo "make test        set up .venv and check everything that CI checks (STEPS=\"lint unit\" for some of it)"
	@echo "make serve       show the rendered book in your browser (PORT=$(PORT))"
	@echo "make lab         open the chapters in JupyterLab"
	@echo "make sync        write the definitions that the chapters show from ffutils (ARGS=--check only says what differs)"
	@echo "make execute     make sync, then re-run the chapters whose code changed, on MNIST (ARGS=--all for all, ARGS=03 for one)"
	@echo "make experiments run the experiments whose results are missing (hours; experiments/results/*.json)"
	@echo "make benchmark   time every method on this machine (a few minutes; experiments/benchmark.md)"
	@echo "make repository  write the book's address everywhere (URL=https://github.com/owner/name)"
	@echo "make clean       remove what was built (.venv stays)"

setup: $(READY)

ifneq ($(MADE_IN),$(CURDIR))
.PHONY: $(READY)
endif

# One resolve for everything, then ffutils itself, which must not pull anything.
$(READY): requirements.txt constraints.txt pyproject.toml
	@command -v "$(PYTHON)" >/dev/null || { echo "$(PYTHON) was not found: install Python 3.11 or later, or say PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "This book needs Python 3.11 or later, and $(PYTHON) is $$("$(PYTHON)" --version 2>&1): say PYTHON=python3.12, for example" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments: install its venv module (on Debian or Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@test -z "$(MADE_IN)" -o "$(MADE_IN)" = "$(CURDIR)" || { echo ".venv was made in $(MADE_IN), and not here: making it anew"; rm -rf .venv; }
	@echo "Setting up .venv: about two minutes and 6 GB, once."
	"$(PYTHON)" -m venv .venv
	$(IN) -m pip install --quiet -r requirements.txt -c constraints.txt
	$(IN) -m pip install --quiet --no-deps -e .
	$(IN) -m pip check
	@printf '%s\n' "$(CURDIR)" > $(READY)

book: $(READY)
	.venv/bin/jupyter-book build . --all -W -n --keep-going
	@echo "The book is in _build/html. To read it: make serve"

test: $(READY)
	@$(IN) tools/check.py $(STEPS)

serve:
	@test -f _build/html/index.html || $(MAKE) book
	@$(if $(wildcard $(READY)),$(IN),"$(PYTHON)") -c 'import socket; socket.create_server(("127.0.0.1", $(PORT))).close()' 2>/dev/null \
		|| { echo "Port $(PORT) is taken: try make serve PORT=$$(($(PORT) + 1))" >&2; exit 1; }
	@echo "Reading at http://127.0.0.1:$(PORT) (Ctrl-C ends it)"
	@$(if $(wildcard $(READY)),$(IN),"$(PYTHON)") -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lab: $(READY)
	$(IN) -m jupyterlab chapters

sync: $(READY)
	@$(IN) tools/sync.py $(ARGS)

execute: $(READY)
	@$(IN) tools/execute.py $(ARGS)

experiments: $(READY)
	$(IN) -m experiments

benchmark: $(READY)
	$(IN) -m experiments.benchmark

repository:
	@"$(PYTHON)" tools/repository.py $(URL)

clean:
	rm -rf _build .pytest_cache .ruff_cache *.egg-info
	find chapters ffutils tests tools -name __pycache__ -prune -exec rm -rf {} +
