# Thin names for what the README and CONTRIBUTING.md spell out.
HUB ?= sample

.PHONY: data check test fmt
data:
	cargo run --release -- build config/data/posttrain --hub $(HUB)
check:
	.ci/run
test:
	cargo test --release
fmt:
	cargo fmt
