# SPDX-License-Identifier: GPL-2.0-or-later
#
# The entry: each target installs what it needs, configures meson once, and
# builds.  The work itself is done by meson and by the scripts.

# Warnings end a build of CI, and only that.
WERROR := $(if $(filter true,$(CI)),true,false)
FORMAT := clang-format-14
# Seconds that "make fuzz" spends on each target.
FUZZ_TIME := 60
C_FILES = $(shell git ls-files '*.c' '*.h')

.DEFAULT_GOAL := all
.PHONY: all demo check check-libvirt bench bench-migration
.PHONY: fuzz format check-format series clean help
.PHONY: setup-build setup-demo setup-check setup-libvirt setup-fuzz
.PHONY: build-all build-debug build-tsan

help:
	@echo 'make               build yankd and yankctl'
	@echo 'make demo          watch a hang and its rescue'
	@echo 'make check         run every test'
	@echo 'make check-libvirt  rescue domains of a libvirt of its own; as root'
	@echo 'make bench         compare the speed with the stock daemon'
	@echo 'make bench-migration  compare the speed of migration with stock'
	@echo 'make fuzz          look for inputs that break the parsers'
	@echo 'make format        lay out the C code'
	@echo 'make check-format  say where the layout is off'
	@echo 'make series QEMU=PATH  patches of the yank core for a QEMU tree'
	@echo 'make clean         remove what was built'

setup-build setup-demo setup-check setup-libvirt setup-fuzz:
	@scripts/setup.sh $(@:setup-%=%)

build/build.ninja: | setup-build
	meson setup build -Dwerror=$(WERROR)

# The contract of out-of-band code, lock owners, memory: all checked.
build-debug/build.ninja: | setup-build
	meson setup build-debug -Dwerror=$(WERROR) -Ddebug_checks=true \
	    -Db_sanitize=address,undefined

build-tsan/build.ninja: | setup-build
	meson setup build-tsan -Dwerror=$(WERROR) -Ddebug_checks=true \
	    -Db_sanitize=thread

all: build/build.ninja
	@ninja -C build yankd tools/yankctl

build-all: build/build.ninja
	@ninja -C build

build-debug: build-debug/build.ninja
	@ninja -C build-debug

build-tsan: build-tsan/build.ninja
	@ninja -C build-tsan tsan-tests yankd

demo: setup-demo all
	@python3 scripts/demo.py

check: setup-check check-format build-all build-debug build-tsan
	@python3 tests/check.py

check-libvirt: setup-libvirt build-all
	@tests/libvirt/test-libvirt.py

bench: setup-check all
	@python3 tests/bench/bench.py

bench-migration: setup-check build/build.ninja
	@ninja -C build yankd tests/bench/paced-writer tests/bench/bare-sockets
	@python3 tests/bench/migration.py

build-fuzz/build.ninja: | setup-fuzz
	CC=clang meson setup build-fuzz -Ddebug_checks=true \
	    -Db_sanitize=address,undefined -Db_lundef=false \
	    -Dc_args=-fsanitize=fuzzer-no-link

fuzz: setup-fuzz build-fuzz/build.ninja
	@ninja -C build-fuzz fuzzers
	@tests/fuzz/run.sh build-fuzz $(FUZZ_TIME)

format: setup-check
	@$(FORMAT) -i $(C_FILES)

check-format: setup-check
	@$(FORMAT) --dry-run -Werror $(C_FILES)

# Patches go to the folder SERIES, the commits to a branch of the tree QEMU.
series: export QEMU := $(QEMU)
series: export SERIES := $(or $(SERIES),series)
series:
	@scripts/series/series.py "$$QEMU" "$$SERIES"

clean:
	rm -rf build build-debug build-tsan build-fuzz
