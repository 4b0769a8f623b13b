# The commands that matter: `make book`, `make lab` and `make test`. Each sets up what it needs, when it is missing or out of date.

PYTHON ?= python3
PORT ?= 8000
IN = .venv/bin/python
# What is touched when an environment is complete: for rendering, for printing, for running the chapters, and for testing them.
BOOK = .venv-book/.book
PDF = .venv-book/.pdf
LAB = .venv/.lab
TEST = .venv/.test
# Its programs do not run in a folder that was renamed or copied since, nor with a Python that has gone.
STALE = $(shell WANTED="$(if $(filter file,$(origin PYTHON)),,$(PYTHON))" sh tools/set_up.sh stale $(1))

.DEFAULT_GOAL := help
.PHONY: help setup book pdf figures test serve lab sync execute experiments benchmark repository clean
.NOTPARALLEL:
.DELETE_ON_ERROR:
unexport PYTHONPATH PYTHONHOME PIP_USER

help:
	@echo "make book        render the book to _build/html (sets up .venv-book: half a minute, 0.3 GB)"
	@echo "make lab         open the chapters in JupyterLab (sets up .venv, with PyTorch: minutes, 6 GB)"
	@echo "make test        check everything that CI checks (sets up both; STEPS=\"lint unit\" for some of it;"
	@echo "                 STEPS=chapters SINCE=origin/main for the chapters that changed since)"
	@echo "make pdf         print the rendered book to one PDF, beside it (0.2 GB more; needs Chromium or Google Chrome)"
	@echo "make figures     pack all figures for teachers, with their descriptions, beside the rendered book"
	@echo "make serve       show the rendered book in your browser (PORT=$(PORT))"
	@echo "make sync        write the definitions that the chapters show from ffutils (ARGS=--check only says what differs)"
	@echo "make execute     make sync, then re-run the chapters whose code changed, on MNIST (ARGS=--all for all, ARGS=03 for one)"
	@echo "make experiments run the experiments whose results are missing (hours)"
	@echo "make benchmark   time every method on this machine (a few minutes; experiments/benchmark.md)"
	@echo "make setup       set up both environments and nothing else"
	@echo "make repository  write the book's address everywhere (URL=https://github.com/owner/name)"
	@echo "make clean       remove what was built (the environments stay)"

setup: $(TEST) $(BOOK)

ifneq ($(call STALE,.venv),)
.PHONY: $(LAB) $(TEST)
endif
ifneq ($(call STALE,.venv-book),)
.PHONY: $(BOOK) $(PDF)
endif

$(BOOK): constraints.txt pyproject.toml tools/set_up.sh
	@PYTHON="$(PYTHON)" sh tools/set_up.sh book
	@touch $(BOOK)

$(PDF): $(BOOK)
	@PYTHON="$(PYTHON)" sh tools/set_up.sh pdf
	@touch $(PDF)

$(LAB): requirements.txt constraints.txt pyproject.toml tools/set_up.sh
	@PYTHON="$(PYTHON)" sh tools/set_up.sh lab
	@touch $(LAB)

$(TEST): requirements.txt constraints.txt pyproject.toml tools/set_up.sh
	@PYTHON="$(PYTHON)" sh tools/set_up.sh test
	@touch $(LAB) $(TEST)

book: $(BOOK)
	.venv-book/bin/jupyter-book build . --all -W -n --keep-going
	@echo "The book is in _build/html. To read it: make serve"

pdf: $(PDF)
	@test -f _build/html/index.html || $(MAKE) book
	@.venv-book/bin/python tools/pdf.py

figures: $(BOOK)
	@test -f _build/html/index.html || $(MAKE) book
	@.venv-book/bin/python tools/figures.py

test: $(TEST) $(BOOK)
	@$(IN) tools/check.py $(STEPS) $(if $(SINCE),--since "$(SINCE)")

serve:
	@test -f _build/html/index.html || $(MAKE) book
	@$(if $(wildcard $(BOOK)),.venv-book/bin/python,"$(PYTHON)") -c 'import socket; socket.create_server(("127.0.0.1", $(PORT))).close()' 2>/dev/null \
		|| { echo "Port $(PORT) is taken: try make serve PORT=$$(($(PORT) + 1))" >&2; exit 1; }
	@echo "Reading at http://127.0.0.1:$(PORT) (Ctrl-C ends it)"
	@$(if $(wildcard $(BOOK)),.venv-book/bin/python,"$(PYTHON)") -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

lab: $(LAB)
	$(IN) -m jupyterlab chapters

sync: $(TEST)
	@$(IN) tools/sync.py $(ARGS)

execute: $(TEST)
	@$(IN) tools/execute.py $(ARGS)

experiments: $(TEST)
	$(IN) -m experiments

benchmark: $(TEST)
	$(IN) -m experiments.benchmark

repository:
	@"$(PYTHON)" tools/repository.py $(URL)

clean:
	rm -rf _build .pytest_cache .ruff_cache *.egg-info
	find chapters ffutils tests tools -name __pycache__ -prune -exec rm -rf {} +
