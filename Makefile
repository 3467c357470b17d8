# echofs. The targets that people use: mount, test, demo, bench.
#
# What is missing on the machine is installed by apt if you are root; else the
# target stops and names the packages.

SHELL := /bin/bash
GO ?= go
DIR ?= $(HOME)/echo
BIN := bin/echofs
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X echofs/cmd/echofs/cli.version=$(VERSION)

.PHONY: help build install mount test test-fs check unit integration bench fuzz soak demo clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

build: ## build bin/echofs
	@scripts/need.sh build
	$(GO) build $(BUILDFLAGS) -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/echofs

install: build ## copy the program to $$GOBIN or ~/go/bin
	install -D -m 755 $(BIN) "$$($(GO) env GOPATH)/bin/echofs"

mount: ## install what is missing, build, and mount ~/echo in the background
	@scripts/need.sh mount
	@$(MAKE) --no-print-directory build
	@scripts/mount.sh $(BIN) "$(DIR)"

test: ## everything: format, vet, staticcheck, all tests with the race detector
	@scripts/need.sh test
	scripts/check.sh
	scripts/test.sh

check: ## format, vet, staticcheck, go.mod; no tests
	scripts/check.sh

unit: ## the tests without the race detector, short
	$(GO) test -short -timeout 10m ./...

integration: ## the stories with several vaults and real editors
	@scripts/need.sh test
	$(GO) test -race -timeout 15m ./integration/... ./cmd/echofs/...

test-fs: ## the file system: cases of POSIX, stressors, torn reads (ECHOFS_SOAK=1 for ten minutes of each)
	@scripts/need.sh test
	scripts/testfs.sh

bench: ## measure beside disk, bare FUSE and Syncthing, into docs/PERFORMANCE.md (BENCH_SHORT=1 to try)
	@scripts/need.sh mount
	@scripts/need.sh bench || echo "bench: without Syncthing to compare with" >&2
	@$(MAKE) --no-print-directory build
	scripts/bench.sh $(BIN)

fuzz: ## every fuzz target for ten seconds (FUZZTIME=1m for longer)
	FUZZTIME=$${FUZZTIME:-10s} scripts/fuzz.sh

soak: ## ten minutes of everything at once, then the integration tests for ten minutes (SOAK=8h for longer)
	@scripts/need.sh test
	SOAK=$${SOAK:-10m} scripts/soak.sh

demo: ## two people on one machine: invite, edit offline, merge
	@scripts/need.sh demo
	@$(MAKE) --no-print-directory build
	@scripts/demo.sh $(BIN)

clean: ## remove what was built
	rm -rf bin
