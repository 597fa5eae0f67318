.PHONY: setup test demo studio clean

setup: .venv/ready-dev

.venv/ready: pyproject.toml constraints.txt
	bash scripts/setup

.venv/ready-dev: pyproject.toml constraints.txt
	bash scripts/setup dev

test: .venv/ready-dev
	bash scripts/test

demo: .venv/ready
	.venv/bin/python scripts/demo.py out/demo

studio: .venv/ready-studio
	.venv/bin/impasto serve --open

.venv/ready-studio: pyproject.toml constraints.txt
	bash scripts/setup studio

clean:
	rm -rf .venv out build dist
