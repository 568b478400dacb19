# Makefile -- builds, runs and tests rnnd.
#
#   make                    build/rnnd, build/librnnd.a, build/librnnd.so.*
#   make run [PORT=8080]    build, then serve the bundled models with a page at http://127.0.0.1:8080/
#   make test [T=word]      all tests (plain, then the unit tests under ASan and UBSan); T=core/base picks by name
#   make check              house rules: layers, exported symbols, banned calls
#   make bench              [SUITE=kernels|tasks|server]: speed, beside peers (tests/bench/README.md)
#   make fuzz               [T=word] [SECONDS=600] each parser on mutated files, with clang (tests/fuzz/README.md)
#   make conformance        CASES=folder [CONFIGS=folder]: models with inputs and expected outputs, in any usual layout
#   make container-test     build the image and try it (root, buildah, podman)
#   make install            [DESTDIR=] [PREFIX=/usr/local]
#   make models             how the bundled models are trained again (models/README.md)
#   make clean              remove what was built (build/train, where recipes keep checkpoints, stays)
#   make help               this text
#
#   SAN=address|undefined|thread   a build of its own under that sanitizer, for any target (address brings undefined)
#   WERROR=1                       warnings are errors
#   V=1                            show the commands
#
# On Debian, `make run`, `make test` and `make bench` (this one from npm too) install what is missing when run as root,
# and say so first.

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
CC       = gcc
comma   := ,
PORT    ?= 8080
PREFIX  ?= /usr/local
JOBS    ?= $(shell nproc 2>/dev/null || echo 2)
Q        = $(if $(V),,@)
VERSION := $(shell sed -n 's/^.define RNND_VERSION "\(.*\)"/\1/p' core/rnnd.h)

# ---- what the build needs: Debian packages, announced and installed by tests/lib/packages.sh -----------------------
PACKAGES      = gcc libc6-dev pkg-config libmicrohttpd-dev libcjson-dev libinih-dev libxxhash-dev libopenblas-dev zlib1g-dev
TEST_PACKAGES = $(PACKAGES) libcmocka-dev libcurl4-openssl-dev python3-minimal python3-requests python3-numpy curl valgrind

# ---- one build folder per variant ------------------------------------------------------------------------------------
ifeq ($(SAN),)
  B = build
  OPT = -O2
else ifeq ($(SAN),fuzz) # of `make fuzz`
  B = build/fuzz
  CC = clang
  OPT = -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
else ifneq ($(filter $(SAN),address undefined thread),)
  B = build/$(SAN)
  OPT = -O1 -fsanitize=$(SAN)$(if $(filter address,$(SAN)),$(comma)undefined) -fno-omit-frame-pointer
  OPT += $(if $(filter thread,$(SAN)),,-fno-sanitize-recover=undefined)
else
  $(error SAN is '$(SAN)'; wanted address, undefined or thread)
endif

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
ifneq ($(WERROR),)
  WARN += -Werror
endif
BASE_CFLAGS = -std=c11 -D_GNU_SOURCE -g $(OPT) -ffp-contract=off -fvisibility=hidden -fPIC -pthread -I. $(WARN)
ALL_CFLAGS  = $(BASE_CFLAGS) $(CFLAGS)

CORE_LIBS   = -lcjson -lxxhash -lz -lm
SERVER_LIBS = -lmicrohttpd -linih
TEST_LIBS   = -lcmocka -Wl,--as-needed -lcurl

CORE_SRC   := $(filter-out core/cli/%,$(wildcard core/*/*.c))
CLI_SRC    := $(wildcard core/cli/*.c)
SERVER_SRC := $(wildcard server/*.c server/*/*.c)
CORE_OBJ   := $(CORE_SRC:%.c=$(B)/obj/%.o)
CLI_OBJ    := $(CLI_SRC:%.c=$(B)/obj/%.o)
SERVER_OBJ := $(SERVER_SRC:%.c=$(B)/obj/%.o)

.PHONY: all
all: $(B)/rnnd $(B)/librnnd.a $(B)/librnnd.so

AVX512 = -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512
$(B)/obj/core/kernels/kernels_base.o:   ISA = $(if $(SAN),-fno-sanitize=undefined) # in every lane: a minute of GCC
$(B)/obj/core/kernels/kernels_avx2.o:   ISA = -mavx2 -mfma
$(B)/obj/core/kernels/kernels_avx512.o: ISA = $(AVX512)
$(B)/obj/core/kernels/kernels_vnni.o:   ISA = $(AVX512) -mavx512vnni
$(B)/obj/core/kernels/kernels_%.o:      OPT += $(if $(SAN),,-O3)

# embedded by the assembler, so no compiler writes this dependency
$(B)/obj/server/ui/assets.o: $(wildcard server/ui/*.html server/ui/*.css server/ui/*.js) models/examples/taxi.csv

# flags in use, so that changing them rebuilds
FLAGS_NOW := $(CC) $(ALL_CFLAGS)
$(B)/flags: FORCE
	@mkdir -p $(B); echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' > $@
.PHONY: FORCE
FORCE:

$(B)/obj/%.o: %.c $(B)/flags
	@mkdir -p $(@D); echo "CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(ISA) -MMD -MP -c $< -o $@

# the archive is one object whose internals are local, so that a program's own names never meet the library's
$(B)/librnnd.a: $(CORE_OBJ)
	@rm -f $@; $(CC) -r -nostdlib $^ -o $(B)/librnnd.o && objcopy --localize-hidden $(B)/librnnd.o && ar rcs $@ $(B)/librnnd.o
# the same with its internals in reach, for the library's own tests
$(B)/libcore.a: $(CORE_OBJ)
	@rm -f $@; ar rcs $@ $^
$(B)/librnnd.so.$(VERSION): $(CORE_OBJ)
	$(Q)$(CC) $(ALL_CFLAGS) -shared -Wl,-soname,librnnd.so.0 $^ -o $@ $(CORE_LIBS)
$(B)/librnnd.so: $(B)/librnnd.so.$(VERSION)
	@ln -sf librnnd.so.$(VERSION) $(B)/librnnd.so.0; ln -sf librnnd.so.0 $@
$(B)/rnnd: $(SERVER_OBJ) $(CLI_OBJ) $(B)/librnnd.a
	@echo "LD $@"
	$(Q)$(CC) $(ALL_CFLAGS) $^ -o $@ $(SERVER_LIBS) $(CORE_LIBS)

# ---- unit tests: each tests/**/test_*.c is a program of its own ------------------------------------------------------
TESTS_CORE   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/core/*/test_*.c tests/core/test_*.c))
TESTS_SERVER := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/server/test_*.c tests/server/*/test_*.c))
TEST_LIB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/lib/*.c)) \
    $(patsubst %,$(B)/obj/tests/bench/%.o,peers/onnx_writer kernels/shapes util)
NOMAIN_OBJ   := $(filter-out $(B)/obj/server/main.o,$(SERVER_OBJ)) $(CLI_OBJ)

# what tests share, as an archive: a test gets (and links libcurl for) only what it uses
$(B)/libtest.a: $(TEST_LIB_OBJ)
	@rm -f $@; ar rcs $@ $^
$(B)/libcli.a: $(CLI_OBJ)
	@rm -f $@; ar rcs $@ $^
$(TESTS_CORE): $(B)/tests/%: $(B)/obj/tests/%.o $(B)/libtest.a $(B)/libcli.a $(B)/libcore.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $^ -o $@ $(TEST_LIBS) $(CORE_LIBS)
$(TESTS_SERVER): $(B)/tests/%: $(B)/obj/tests/%.o $(B)/libtest.a $(NOMAIN_OBJ) $(B)/librnnd.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $^ -o $@ $(TEST_LIBS) $(SERVER_LIBS) $(CORE_LIBS)

# those whose name has the word T in it
UNIT = $(strip $(foreach t,$(TESTS_CORE) $(TESTS_SERVER),$(if $(findstring $(T),$(t:$(B)/tests/%=%)),$(t))))
.PHONY: unit
unit: $(if $(T),$(UNIT),$(TESTS_CORE) $(TESTS_SERVER))

# ---- what people type ------------------------------------------------------------------------------------------------
.PHONY: packages test-packages fuzz-packages bench-packages fuzz run test unit-run check bench conformance install container-test models clean help
packages:
	@sh tests/lib/packages.sh $(PACKAGES)
fuzz-packages:
	@sh tests/lib/packages.sh $(PACKAGES) clang libclang-rt-14-dev
test-packages:
	@sh tests/lib/packages.sh $(TEST_PACKAGES)

run: packages
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@exec $(B)/rnnd serve --listen 127.0.0.1:$(PORT)

# Plain programs, house rules, READMEs and clients once; then the unit tests again under ASan and UBSan.
test: test-packages
	@$(MAKE) --no-print-directory -j$(JOBS) all unit
	@$(if $(SAN),,$(MAKE) --no-print-directory -j$(JOBS) SAN=address unit)
	@B=$(B) SAN=$(SAN) T='$(T)' sh tests/run.sh

check: $(B)/librnnd.so
	@B=$(B) sh tests/check.sh

# what is measured beside rnnd: a peer that cannot be installed is named and left out
bench-packages: packages
	@B=build sh tests/bench/peers/install.sh
bench: bench-packages
	@[ -d $(B)/bench ] || rm -f $(B)/bench; mkdir -p $(B)/bench
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BENCH)
	@$(B)/bench-suites $(SUITE)

BENCH     = $(addprefix $(B)/bench-,suites control driver $(if $(wildcard /usr/include/oneapi/dnnl/dnnl.h),onednn.so))
BENCH_SRC = $(filter-out %/onednn.c,$(wildcard tests/bench/*.c tests/bench/kernels/*.c tests/bench/peers/*.c))
NATIVE    = -O3 -march=native
$(B)/obj/tests/bench/peers/activations.o: ISA = $(NATIVE) -ffast-math
$(B)/obj/tests/bench/peers/onednn.o: ISA = $(NATIVE) -fopenmp
$(B)/bench-suites: $(BENCH_SRC:%.c=$(B)/obj/%.o) $(B)/librnnd.a
	$(Q)$(CC) $(ALL_CFLAGS) $^ -o $@ $(CORE_LIBS) -lmvec
# rnnd's HTTP stack with something else behind it
$(B)/bench-control: $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/bench/control/*.c server/http/*.c)) \
    $(B)/obj/tests/bench/peers/ort.o $(B)/obj/tests/bench/peers/onnx_writer.o
	$(Q)$(CC) $(ALL_CFLAGS) $^ -o $@ $(SERVER_LIBS) $(CORE_LIBS)
$(B)/bench-driver: $(patsubst %,$(B)/obj/tests/bench/%.o,driver/main kernels/measure kernels/shapes kernels/rnnd models util) \
    $(B)/librnnd.a
	$(Q)$(CC) $(ALL_CFLAGS) $^ -o $@ $(CORE_LIBS)
$(B)/bench-onednn.so: $(B)/obj/tests/bench/peers/onednn.o
	$(Q)$(CC) $(ALL_CFLAGS) -shared -fopenmp $^ -o $@ -ldnnl

# side files for models that do not say what they are: CONFIGS/CASE.rnnd.json
CASES   ?= ../shared
CONFIGS ?= tests/side
conformance: packages
	@$(MAKE) --no-print-directory $(B)/conformance
	@if [ -d '$(CASES)' ]; then $(B)/conformance '$(CASES)' '$(CONFIGS)'; \
	else echo 'skipped: there is no folder $(CASES)'; echo '0 passed, 0 failed, 1 skipped'; fi

$(B)/conformance: $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/conformance/*.c)) $(B)/libtest.a $(B)/libcli.a \
    $(B)/libcore.a
	$(Q)$(CC) $(ALL_CFLAGS) $^ -o $@ $(CORE_LIBS)

fuzz: fuzz-packages
	@$(MAKE) --no-print-directory -j$(JOBS) SAN=fuzz T='$(T)' fuzzers
	@B=build/fuzz T='$(T)' SECONDS_EACH=$(or $(SECONDS),600) sh tests/fuzz/run.sh
FUZZ_ALL := $(patsubst tests/fuzz/%.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZERS  := $(if $(T),$(foreach f,$(FUZZ_ALL),$(if $(findstring $(T),$(notdir $(f))),$(f))),$(FUZZ_ALL))
.PHONY: fuzzers
fuzzers: $(FUZZERS)
$(FUZZERS): $(B)/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/bound.o $(B)/libcore.a
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=fuzzer $^ -o $@ $(CORE_LIBS)

container-test:
	@sh docker/container-test.sh

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include \
	    $(DESTDIR)$(PREFIX)/share/rnnd/models
	install -m 755 $(B)/rnnd $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(B)/librnnd.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(B)/librnnd.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/
	ln -sf librnnd.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/librnnd.so.0
	ln -sf librnnd.so.0 $(DESTDIR)$(PREFIX)/lib/librnnd.so
	install -m 644 core/rnnd.h $(DESTDIR)$(PREFIX)/include/
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' core/rnnd.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/rnnd.pc
	install -m 644 models/*.safetensors $(DESTDIR)$(PREFIX)/share/rnnd/models/
	install -m 644 models/rnnd_export.py $(DESTDIR)$(PREFIX)/share/rnnd/

models:
	@sed -n '/^## Making them again/,/^## /p' models/README.md

clean:
	@rm -rf $(filter-out build/train,$(wildcard build/*))
help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
