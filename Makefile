# Every target says what it does; `make` alone lists them.

SHELL   := /bin/bash
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
FUZZTIME ?= 10s
# Of one package; the end-to-end tests take about ten minutes beside others on two cores.
TIMEOUT  ?= 25m
# SQLite is translated from C and keeps its data outside Go's heap, where the race detector sees
# nothing; with the detector, its code takes three times the processor time. Its driver and our
# packages have the detector.
RACE     := -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/libc=-race=false
# The packages that take longest start first: none of them is left to run alone at the end.
LONGEST  := ./internal/e2e ./internal/store ./internal/server ./internal/faulttest ./internal/agent/spool ./internal/agent

# Exactly the tools that tools/go.mod pins, whatever else is installed.
TOOL := $(GO) tool -modfile=tools/go.mod

# With PostgreSQL there, a test that cannot reach it must fail instead of being skipped.
HAVE_POSTGRES = $(shell (command -v initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb') >/dev/null 2>&1 && echo 1)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

BIN := bin

.PHONY: build
build: ui programs ## Build the page (with Node) and bin/stint, bin/stint-agent

# What a release has and what everybody builds are the same programs.
.PHONY: programs
programs:
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/stint
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' $(AGENT_FLAGS) -o $(BIN)/ ./cmd/stint-agent

# The agent holds connections of its own, which speak HTTP/1.1: HTTP/2 would be 360 KB that nothing uses. Its TLS is compiled
# without inlining, which would be 280 KB: it makes one handshake for a job, and ciphers and hashes are in assembly. Neither do
# commands, definitions and cron expressions need inlining, which is 120 KB: they run once in a process; nor does what makes a few
# requests, which is 120 KB more: HTTP, JSON, templates of help, the install cache.
AGENT_FLAGS := -tags nethttpomithttp2 $(foreach p,crypto/... github.com/spf13/... github.com/netresearch/... stint.dev/stint/internal/cli/... \
	stint.dev/stint/internal/definition stint.dev/stint/internal/policy stint.dev/stint/internal/yaml stint.dev/stint/client/... \
	stint.dev/stint/internal/agent/cache/... net/... mime/... math/big text/template/... encoding/json encoding/asn1 reflect,-gcflags=$(p)=-l)

# Up to date unless a source of the page is newer than the built page.
UI_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/e2e/*' 2>/dev/null)

.PHONY: ui
ui: ## Build the page into internal/web/dist
	@if ! command -v node >/dev/null || ! command -v npm >/dev/null; then \
		echo "ui: Node 20 with npm is not here: the build goes on with a plain page"; \
	else $(MAKE) --no-print-directory internal/web/dist/index.html; fi

internal/web/dist/index.html: $(UI_SOURCES)
	@if [ ! -d web/node_modules ] || [ web/package-lock.json -nt web/node_modules ]; then \
		cd web && npm ci --no-audit --no-fund --loglevel=error && touch node_modules; fi
	cd web && npm run --silent build
	@touch $@

# The page's types of the API's values; the document comes from a server that is made for it.
.PHONY: api-types
api-types: ## Write web/src/lib/api/schema.d.ts from the server's OpenAPI document
	@scripts/api-types

.PHONY: demo
demo: build ## A server with its page, a real job through it, and one that starts again on another worker
	@bin/stint demo $(ARGS)

.PHONY: setup
setup:
	@scripts/setup

.PHONY: test
test: setup build test-web test-page ## Run every test: rules, unit, both databases, the page, end to end; with -race
	$(GO) test ./internal/schedule
	STINT_REQUIRE_POSTGRES=$(HAVE_POSTGRES) $(GO) test $(RACE) -timeout $(TIMEOUT) $(LONGEST) ./...

.PHONY: test-web
test-web:
	@if command -v npm >/dev/null && [ -d web/node_modules ]; then cd web && npm test --silent; \
	else echo "test: the page's own tests need Node 20 with npm; not run"; fi

CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)

# The page in a real browser, on the real programs.
.PHONY: test-page
test-page: build
	@if [ -d web/node_modules ] && [ -n "$(CHROMIUM)" ]; then \
		cd web && STINT_BIN=../bin/stint CHROMIUM=$(CHROMIUM) npm run --silent e2e; \
	else echo "test: the page's browser tests need Node 20 with npm, and Chromium; not run"; fi

.PHONY: lint
lint: ## gofumpt, go vet, staticcheck; svelte-check and api-lint with Node
	@unformatted=$$($(TOOL) gofumpt -l $$(git ls-files -co --exclude-standard '*.go')) || exit 1; \
	if [ -n "$$unformatted" ]; then printf 'not formatted (make format):\n%s\n' "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./cmd/stint-agent ./internal/agent/... ./journal ./job ./client
	$(TOOL) staticcheck ./...
	@if command -v npm >/dev/null && [ -d web/node_modules ]; then cd web && npm run --silent check; \
	else echo "lint: svelte-check needs Node 20 with npm and 'make ui'; not run"; fi
	@$(MAKE) --no-print-directory api-lint

# The linters have a package of their own, so that the page's has only what builds and tests it.
.PHONY: api-lint
api-lint: ## Check the OpenAPI document with Redocly and Spectral (with Node; the first time, npm ci takes 83 MB)
	@if command -v npm >/dev/null; then scripts/api-lint; \
	else echo "lint: the linters of the OpenAPI document need Node 20 with npm; not run"; fi

.PHONY: docs
docs: ## Write the documents, or their parts, that are made from the program; make test compares them
	$(GO) test ./internal/cli ./internal/health ./job -run Doc -update

.PHONY: format
format: ## Format the Go files
	$(TOOL) gofumpt -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: fuzz
fuzz: ## Fuzz the journal's readers, masking, the server's fold, its interface, segments, policies, cron expressions, crontabs, configuration files and error lines, each for FUZZTIME (10s)
	@for target in FuzzReader FuzzNext FuzzRecover; do \
		scripts/fuzz ./journal $$target $(FUZZTIME) || exit 1; done
	@scripts/fuzz ./internal/agent/redact FuzzStream $(FUZZTIME)
	@scripts/fuzz ./internal/index FuzzFold $(FUZZTIME) -fuzzminimizetime 10x
	@scripts/fuzz ./internal/query FuzzDecodeSamples $(FUZZTIME)
	@scripts/fuzz ./internal/server FuzzAPI $(FUZZTIME) -fuzzminimizetime 10x
	@scripts/fuzz ./internal/server/httpio FuzzCheckKeys $(FUZZTIME)
	@scripts/fuzz ./internal/store/beatlog FuzzDecode $(FUZZTIME)
	@scripts/fuzz ./internal/store/segment FuzzScan $(FUZZTIME) -fuzzminimizetime 10x
	@scripts/fuzz ./internal/policy FuzzParse $(FUZZTIME)
	@scripts/fuzz ./internal/schedule FuzzParse $(FUZZTIME)
	@scripts/fuzz ./internal/crontab FuzzAdopt $(FUZZTIME)
	@scripts/fuzz ./internal/cli/configfile FuzzParse $(FUZZTIME)
	@scripts/fuzz ./internal/logs/ending FuzzErrorLine $(FUZZTIME)

N ?= 1000
JOBS ?= 200

.PHONY: faults
faults: ## Play N (1000) random schedules of faults and compare every byte; SEED=… repeats one, ARGS='-race-programs'
	@set -o pipefail; $(GO) test ./internal/faulttest -run 'TestSchedules|TestShortJobs' -v -timeout 3h \
		-args -schedules $(N) -jobs $(JOBS) -side 6 -clock $(if $(SEED),-seed $(SEED)) $(ARGS) | grep -avE --line-buffered '^(=== |    --- PASS)'

.PHONY: alive
alive: ## Restart, pause and cut off 1,000 simulated and 33 real agents: none is lost; kill 240: all are, within 1.5 s
	@set -o pipefail; $(GO) test ./internal/faulttest -run '^(TestLiveAgentsAreNotLost|TestNoCutOfALeaseLosesAnAgent|TestKilledAgentsAreLostSoon)$$' -v -timeout 1h \
		-args -alive $(ARGS) | grep -avE '^=== '

AGENTS ?= 200
BLOWS ?= 6

.PHONY: failover
failover: ## AGENTS real agents (200) with two servers on PostgreSQL that are killed and stopped in turn, BLOWS times (6): none is lost
	@set -o pipefail; $(GO) test ./internal/e2e -run '^TestAgentsGoOnToAnotherServer$$' -v -count 1 -timeout 1h \
		-args -failover-agents $(AGENTS) -failover-blows $(BLOWS) | grep -avE '^=== '

HANG ?= 10m

.PHONY: hang
hang: ## Let the bucket hang for HANG (10m) while runs fail and agents are killed: all are lost and notified of in time
	@set -o pipefail; $(GO) test ./internal/faulttest -run '^TestABucketThatHangs$$' -v -timeout 0 -args -hang $(HANG) | grep -avE --line-buffered '^=== '

DURATION ?= 10m

.PHONY: hostile
hostile: ## Attack the server with one token for DURATION (10m) while agents of another token work: their requests stay fast
	@set -o pipefail; $(GO) test ./internal/faulttest -run '^TestHostileClient$$' -v -timeout 0 -args -hostile $(DURATION) -attacks '$(ATTACKS)' | grep -avE --line-buffered '^=== '

.PHONY: kills
kills: ## Kill servers and workers with SIGKILL for DURATION (10m) while runs are submitted: no attempt starts twice, every run ends
	@set -o pipefail; $(GO) test ./internal/faulttest -run '^TestKills$$' -v -timeout 0 -args -kill $(DURATION) | grep -avE --line-buffered '^=== '

.PHONY: runitor
runitor: ## Report to the server with RUNITOR=FILE, a client of Healthchecks that others wrote
	RUNITOR='$(RUNITOR)' $(GO) test ./internal/e2e -run '^TestRunitor$$' -v -count 1 | grep -avE '^=== '

.PHONY: kills-schedules
kills-schedules: DURATION = 5m
kills-schedules: ## Kill servers in turn for DURATION (5m) while 1,000 schedules are due each minute: none starts twice, none is left out
	@set -o pipefail; $(GO) test ./internal/faulttest -run '^TestKillsWithSchedules$$' -v -timeout 0 -args -kill $(DURATION) | grep -avE --line-buffered '^=== '

.PHONY: units
units: ## Start the units of deploy/systemd under a real systemd, in a machine of qemu
	STINT_TEST_UNITS=units $(GO) test ./internal/e2e -run '^TestUnitsUnderSystemd$$' -v -timeout 20m

.PHONY: worker-unit
worker-unit: ## Upgrade a worker under ten jobs, of which one runs out of memory, in a Debian machine of mmdebstrap
	STINT_TEST_UNITS=worker-unit $(GO) test ./internal/e2e -run '^TestWorkerUnitUnderSystemd$$' -v -timeout 20m

.PHONY: first-hour
first-hour: ui ## Type every command of docs/first-hour.md in an empty Debian machine with the package files; a mail arrives or it fails
	@packages=$$(mktemp -d) && trap 'rm -rf "$$packages"' EXIT && \
	VERSION=v0.1.0 OUT=$$packages TARGETS=linux/amd64 PARTS=packages SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) scripts/release >/dev/null && \
	STINT_TEST_UNITS=first-hour STINT_PACKAGES=$$packages $(GO) test ./internal/e2e -run '^TestFirstHour$$' -v -count 1 -timeout 30m

SOAK ?= 30m

.PHONY: soak
soak: ## Keep a server and agents busy for SOAK (30m); fails when memory, descriptors or goroutines grow
	$(GO) test ./internal/faulttest -run '^TestSoak$$' -v -timeout 0 -args -soak $(SOAK)

.PHONY: bench
bench: ## Measure the agent against its yardsticks; ARGS='-only startup' for one
	$(GO) run ./internal/bench $(ARGS)

.PHONY: bench-web
bench-web: build ## Measure the page in Chromium: size, start, a 1 GiB log, a fast job, 1,000 runs
	@cd web && STINT_BIN=../bin/stint CHROMIUM=$(CHROMIUM) npm run --silent bench

.PHONY: screenshots
screenshots: build ## Make the README's pictures from real runs
	@cd web && STINT_BIN=../bin/stint CHROMIUM=$(CHROMIUM) npm run --silent screenshots

.PHONY: bench-go
bench-go: ## Run the Go benchmarks of the packages
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: release
release: ui ## Make the files of release VERSION (v0.1.0) in dist/, signed with KEY (a file of minisign): docs/releases.md
	@VERSION='$(VERSION)' KEY='$(KEY)' scripts/release

.PHONY: reproduce
reproduce: ui ## Build the archive of linux/amd64 twice, in two directories, and compare every byte
	@scripts/reproduce

.PHONY: test-packages
test-packages: ui ## Install, upgrade, remove and purge the packages in roots and in a machine with systemd, and run the images; as root, with mmdebstrap and qemu
	@scripts/test-packages

.PHONY: clean
clean: ## Remove what the build made
	rm -rf bin dist web/node_modules tools/api-lint/node_modules
	find internal/web/dist -mindepth 1 -not -name .keep -delete
