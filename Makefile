# Every target works in a fresh clone on a machine that has Go 1.26 and nothing
# else, but test: the race detector needs a C compiler.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/atrium-iot/atrium/shared/ops.version=$(VERSION)
RUNS    ?= 3
OUTAGE  ?= 168h
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
TOOL    := go tool -modfile=.ci/tools.mod
EDGE    := ./edge/cmd/atrium-edge ./simulator/cmd/atrium-sim
CLOUD   := ./cloud/cmd/atrium-cloud ./cloud/cmd/atrium

.PHONY: help build test lint bench bench-actors bench-edge bench-cluster stress-actors stress-journal demo demo-check test-faults test-cluster scale-demo test-outage board-rpi3 board-rpi0 board-pc mutants clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 14

build: ## all programs for amd64, arm64 and armv6 into bin/
	GOOS=linux GOARCH=amd64 $(GOBUILD) -o bin/linux-amd64/ $(EDGE) $(CLOUD)
	GOOS=linux GOARCH=arm64 $(GOBUILD) -o bin/linux-arm64/ $(EDGE) $(CLOUD)
	GOOS=linux GOARCH=arm GOARM=6 $(GOBUILD) -o bin/linux-armv6/ $(EDGE)

test: ## the quick suite, with the race detector
	go test -race -timeout 10m ./...

lint: ## gofumpt, vet, staticcheck, tidy
	@out=$$($(TOOL) gofumpt -l .); test -z "$$out" || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	go vet ./...
	$(TOOL) staticcheck ./...
	go mod tidy -diff

bench: ## every benchmark; docs/BENCHMARKS.md says how to read them
	scripts/bench

bench-actors: ## the actor runtime beside its limits and proto.actor; RUNS=5 for medians of five
	go run ./tests/bench/actors -runs $(RUNS)

bench-edge: ## the edge's data path and its peers; BENCH=-markdown for docs/BENCHMARKS.md, -json, -short for CI
	go run ./tests/bench/edge $(BENCH)

bench-cluster: ## what is seen of a cluster when nodes die, leave and come back; CLUSTER_BENCH="-rounds 3 -json"
	go run ./tests/bench/cluster $(CLUSTER_BENCH)

stress-actors: ## a million actors born, told, crashed, passivated and ended, each message accounted for
	go test -count=1 -timeout 60m -v -run '^TestAMillionLives$$' ./shared/actor -actors 1000000

stress-journal: ## three replicas of the log: minorities, elections, a thousand rounds of each race
	go test -count=1 -timeout 20m -v -run 'Replic|Node|Minority|Leader|Cluster' ./cloud/journal -long

demo: ## a whole Atrium on this machine, to watch and to disturb
	scripts/demo

demo-check: ## one cloud node, two boards, two gateways, cuts and kills, then verify
	scripts/demo-check

test-faults: ## what the field does to gateways, links, disks and clouds, and a checker outside; FAULTS="-short" for CI
	scripts/test-faults $(FAULTS)

test-cluster: ## what happens to the nodes of a cluster, and a checker outside; CLUSTER="-short" for CI
	scripts/test-cluster $(CLUSTER)

scale-demo: ## a cluster that gets workers under load and gives them back by itself, judged; 3 minutes
	scripts/test-cluster -run scale

test-outage: ## a week without a link at 100 readings/s and 64 MiB, in fake time on the real store; TMPDIR=/dev/shm for fast fsyncs
	go test -count=1 -timeout 60m -v ./tests/outage -outage $(OUTAGE)

board-rpi3: ## the agent on an emulated Raspberry Pi 3 with Debian's kernel, its values in the cloud
	scripts/board-rpi3

board-rpi0: ## the memory of the armv6 agent on an emulated Raspberry Pi Zero; RPI0="-for 10m" for longer
	scripts/board-rpi0 $(RPI0)

board-pc: ## power cuts and wrong clocks on an emulated PC, with dm-flakey under the agents; PC="-rounds 20" for more
	scripts/board-pc $(PC)

mutants: ## apply each deliberate fault and see that its test fails
	go run ./tests/mutants

clean: ## remove what build made
	rm -rf bin
