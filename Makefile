# Makefile -- builds, runs and tests rnnd.
#
#   make                    build/rnnd, build/librnnd.a, build/librnnd.so.*
#   make run [PORT=8080]    build, then serve the bundled models with a page at http://127.0.0.1:8080/
#   make test [T=file]      all tests (plain, and the unit tests under ASan and UBSan); T= picks by name
#   make check              house rules: layers, exported symbols, banned calls
#   make bench              speed, as CSV
#   make container-test     build the image and try it (root, buildah, podman)
#   make install            [DESTDIR=] [PREFIX=/usr/local]
#   make clean              remove build/
#   make help               this text
#
#   SAN=address|undefined|thread   a build of its own under that sanitizer, for any target
#   WERROR=1                       warnings are errors (CI)
#
# On Debian, `make run` and `make test` install what is missing when run as root, and say so first.

MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := all
CC       = gcc
PORT    ?= 8080
PREFIX  ?= /usr/local
VERSION := $(shell sed -n 's/^.define RNND_VERSION "\(.*\)"/\1/p' core/rnnd.h)

# ---- what the build needs: Debian packages, announced and installed by tests/lib/packages.sh -----------------------
PACKAGES      = gcc libc6-dev pkg-config libmicrohttpd-dev libcjson-dev libinih-dev libxxhash-dev libopenblas-dev
TEST_PACKAGES = $(PACKAGES) libcmocka-dev libcurl4-openssl-dev python3 curl

# ---- one build folder per variant ------------------------------------------------------------------------------------
ifeq ($(SAN),)
  B = build
  OPT = -O2
else ifneq ($(filter $(SAN),address undefined thread),)
  B = build/$(SAN)
  OPT = -O1 -fsanitize=$(SAN) -fno-omit-frame-pointer
  ifeq ($(SAN),undefined)
    OPT += -fno-sanitize-recover=undefined
  endif
else
  $(error SAN is '$(SAN)'; wanted address, undefined or thread)
endif

WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla
ifneq ($(WERROR),)
  WARN += -Werror
endif
BASE_CFLAGS = -std=c11 -D_GNU_SOURCE -g $(OPT) -ffp-contract=off -fvisibility=hidden -fPIC -pthread -I. $(WARN)
ALL_CFLAGS  = $(BASE_CFLAGS) $(CFLAGS)

CORE_LIBS   = -lcjson -lxxhash -lm
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

$(B)/obj/core/kernels/kernels_avx2.o:   ISA = -mavx2 -mfma
$(B)/obj/core/kernels/kernels_avx512.o: ISA = -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512
$(B)/obj/core/kernels/kernels_%.o:      OPT += -O3

# flags in use, so that changing them rebuilds
FLAGS_NOW := $(CC) $(ALL_CFLAGS)
$(B)/flags: FORCE
	@mkdir -p $(B); echo '$(FLAGS_NOW)' | cmp -s - $@ || echo '$(FLAGS_NOW)' > $@
.PHONY: FORCE
FORCE:

$(B)/obj/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(ISA) -MMD -MP -c $< -o $@

$(B)/librnnd.a: $(CORE_OBJ)
	@rm -f $@; ar rcs $@ $^
$(B)/librnnd.so.$(VERSION): $(CORE_OBJ)
	$(CC) $(ALL_CFLAGS) -shared -Wl,-soname,librnnd.so.0 $^ -o $@ $(CORE_LIBS)
$(B)/librnnd.so: $(B)/librnnd.so.$(VERSION)
	@ln -sf librnnd.so.$(VERSION) $(B)/librnnd.so.0; ln -sf librnnd.so.0 $@
$(B)/rnnd: $(SERVER_OBJ) $(CLI_OBJ) $(B)/librnnd.a
	$(CC) $(ALL_CFLAGS) $^ -o $@ $(SERVER_LIBS) $(CORE_LIBS)

# ---- unit tests: each tests/**/test_*.c is a program of its own ------------------------------------------------------
TESTS_CORE   := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/core/*/test_*.c tests/core/test_*.c))
TESTS_SERVER := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/server/test_*.c tests/server/*/test_*.c))
TEST_LIB_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/lib/*.c))
NOMAIN_OBJ   := $(filter-out $(B)/obj/server/main.o,$(SERVER_OBJ)) $(CLI_OBJ)

# what tests share, as an archive: a test gets (and links libcurl for) only what it uses
$(B)/libtest.a: $(TEST_LIB_OBJ)
	@rm -f $@; ar rcs $@ $^
$(TESTS_CORE): $(B)/tests/%: $(B)/obj/tests/%.o $(B)/libtest.a $(B)/librnnd.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $^ -o $@ $(TEST_LIBS) $(CORE_LIBS)
$(TESTS_SERVER): $(B)/tests/%: $(B)/obj/tests/%.o $(B)/libtest.a $(NOMAIN_OBJ) $(B)/librnnd.a
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $^ -o $@ $(TEST_LIBS) $(SERVER_LIBS) $(CORE_LIBS)

.PHONY: unit
unit: $(TESTS_CORE) $(TESTS_SERVER)

.PHONY: clean help
clean:
	rm -rf build
help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' Makefile

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
