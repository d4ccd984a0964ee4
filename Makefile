# What a developer runs. CI runs .ci/run.

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
export CGO_ENABLED = 0

build: ## the static binary, bin/gtrace
	$(GO) build -trimpath -ldflags='-s -w' -o bin/gtrace ./cmd/gtrace

test: ## every test that this machine permits
	$(GO) test ./...

lint: ## gofmt, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

# A run that ends with its time is told from a finding: Go reports either as a failure now and then.
# Inputs are not made small while they are collected: with much code that takes all the time there is.
fuzz: ## each parser's fuzz target for a few seconds; FUZZTIME=60s FUZZ='./object ./image'
	@for p in $$($(GO) list $(or $(FUZZ),./...)); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
	    echo "== $$p $$f"; \
	    out=$$(timeout 600 $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(or $(FUZZTIME),10s) -fuzzminimizetime 10x $$p 2>&1) && { echo "$$out" | grep execs | tail -1; continue; }; \
	    echo "$$out" | tail -40; \
	    case "$$out" in *"Failing input"*|*panic:*) exit 1;; *"context deadline exceeded"*) ;; *) exit 1;; esac; \
	  done; done

bench: build ## the figures of docs/figures.md, printed with their method
	$(GO) test -run '^$$' -bench . -benchtime 1x ./internal/bench

parity: ## our verdicts beside the running kernel's over its selftests; PARITY='-only verifier_*'
	$(GO) run ./internal/parity -peak 5 $(PARITY)

parity-vm: ## the same for real 6.1 and 6.12 kernels, and without privilege, by tables of their verdicts; PARITY='-record' asks them (PARITY_VMTEST=vmtest)
	@for k in '-target 6.1' '-target 6.12' '-target 6.12 -unprivileged'; do echo "== parity $$k"; $(GO) run ./internal/parity $$k $(PARITY) || exit 1; done

sound: ## the selftests' programs that gtrace accepts, run in its interpreter against what its verifier knows
	$(GO) run ./internal/parity -sound

fuzz-verdicts: ## random programs: our verdicts beside the kernel's, and without pruning, and while they run; N=20000 SEED=1
	$(GO) test ./verify -count=1 -timeout 0 -v -run 'TestRandomAgainstKernel|TestJoins|TestPruning|TestChains|TestRandomSound' \
	  -args -random $(or $(N),20000) -joins $(or $(N),20000) -pruning $(or $(N),20000) -chains $(or $(N),20000) -sound $(or $(N),20000) -seed $(or $(SEED),1)

exhaustive: ## every operation on every known bits of 6 bits and every range of 4: minutes
	$(GO) test ./verify/tnum -bits 6
	$(GO) test ./verify/scalar -run Exhaustive -bits 4

mutants: ## known verifier bugs put back, each of which a test must find; MUTANTS='-only precision'
	$(GO) run ./internal/mutants $(MUTANTS)

help:
	@grep -E '^[a-z-]+:.*##' Makefile | sed 's/:.*##/:/'

.PHONY: build test lint fuzz bench parity parity-vm sound fuzz-verdicts exhaustive mutants help
