# Thin names for what the README and CONTRIBUTING.md spell out.
HUB ?= sample

.PHONY: data check test bench fmt
data:
	cargo run --release -- build config/data/posttrain --hub $(HUB)
check:
	.ci/run
test:
	cargo test --release
# Beside polars, datasets, ninja, zstd and DVC, where they are installed; `SECTION=none` for one part of it.
bench:
	cargo bench --bench compare -- $(SECTION)
fmt:
	cargo fmt
