#!/bin/sh
# container-test.sh -- builds the image with buildah, runs it with podman, and asks it what a user would ask.
#
# Needs root, buildah, podman, runc, netavark and a debian:bookworm-slim image; the last is made with mmdebstrap from this
# machine's own apt sources where no image of that name is stored (BASE=name takes another). Everything lives under
# build/container and is removed at the end but for the base. Closes with "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.."
dir=$PWD/build/container
passed=0 failed=0
skip() { echo "skipped: container-test: $1"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
check() { # what, command...
    what=$1; shift
    if "$@" >"$dir/last" 2>&1; then passed=$((passed + 1)); echo "ok    $what"; else
        failed=$((failed + 1)); echo "FAIL  $what"; tail -5 "$dir/last"
    fi
}
[ "$(id -u)" = 0 ] || skip "not root"
command -v apt-get >/dev/null || skip "no apt-get to install buildah and podman with"
sh tests/lib/packages.sh buildah podman runc netavark aardvark-dns iptables conmon mmdebstrap curl >/dev/null ||
    skip "buildah, podman, runc, netavark or mmdebstrap cannot be installed"

mkdir -p "$dir"
cat >"$dir/containers.conf" <<CONF
[containers]
default_ulimits=["nofile=20000:20000","nproc=4096:4096"]
[engine]
runtime="runc"
cgroup_manager="cgroupfs"
events_logger="file"
[network]
network_backend="netavark"
CONF
cat >"$dir/storage.conf" <<CONF
[storage]
driver="vfs"
graphroot="$dir/store"
runroot="$dir/run"
CONF
export CONTAINERS_CONF="$dir/containers.conf" CONTAINERS_STORAGE_CONF="$dir/storage.conf"
name=rnnd-test-$$ port=$((20000 + $$ % 20000))
tidy() {
    podman rm -f -t 2 "$name" >/dev/null 2>&1
    podman network rm -f "$name" >/dev/null 2>&1
    podman rmi -f "localhost/rnnd:$$" >/dev/null 2>&1
    rm -rf "$dir/mine"
}
trap tidy EXIT

base=${BASE:-localhost/bookworm-slim}
if ! podman image exists "$base"; then
    echo "making $base with mmdebstrap (about two minutes)"
    sources=$(ls /etc/apt/sources.list /etc/apt/sources.list.d/*debian*.sources /etc/apt/sources.list.d/*debian*.list 2>/dev/null)
    opts=
    for f in $(grep -lE '^(Acquire|APT::Sandbox)' /etc/apt/apt.conf.d/* 2>/dev/null | grep -v docker-); do opts="$opts --aptopt=$f"; done
    for p in man doc locale info; do opts="$opts --dpkgopt=path-exclude=/usr/share/$p/*"; done # as the slim images do
    # shellcheck disable=SC2086
    mmdebstrap --variant=minbase --skip=check/empty --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        $opts bookworm "$dir/base.tar" $sources >"$dir/base.log" 2>&1 || { tail -3 "$dir/base.log"; skip "no base image can be made"; }
    c=$(buildah from scratch) || skip "buildah cannot make a container here"
    { buildah add -q "$c" "$dir/base.tar" / && buildah config --cmd bash "$c" &&
        buildah commit -q --format docker "$c" "$base" && buildah rm "$c"; } >/dev/null || skip "buildah cannot commit here"
    rm -f "$dir/base.tar"
fi
podman network create "$name" >/dev/null 2>"$dir/last" || skip "no network of its own: $(tail -1 "$dir/last")"

echo "building the image"
t0=$(date +%s)
check "image builds" buildah bud --isolation chroot --format docker --pull-never --network host \
    --build-arg BASE="$base" -f docker/Dockerfile -t "localhost/rnnd:$$" .
echo "      $(($(date +%s) - t0)) s; image $(podman image inspect --format '{{.Size}}' "localhost/rnnd:$$" | awk '{printf "%.1f MB", $1 / 1e6}'), of which base $(podman image inspect --format '{{.Size}}' "$base" | awk '{printf "%.1f MB", $1 / 1e6}')"
[ "$failed" = 0 ] || { echo "$passed passed, $failed failed, 0 skipped"; exit 1; }

mkdir -p "$dir/mine" && cp models/tiny/lstm.safetensors "$dir/mine/mine.safetensors" && chmod -R a+rX "$dir" 2>/dev/null
check "starts read-only, without capabilities, with a published port" \
    podman run -d --name "$name" --network "$name" -p "127.0.0.1:$port:8080" --read-only --cap-drop ALL \
    --security-opt no-new-privileges -v "$dir/mine:/models:ro" "localhost/rnnd:$$"
url=http://127.0.0.1:$port
i=0
until curl -fsS -m 2 "$url/readyz" >/dev/null 2>&1 || [ $i -ge 50 ]; do i=$((i + 1)); sleep 0.2; done
check "ready" curl -fsS -m 5 "$url/readyz"
check "bundled and own models are served" sh -c "curl -fsS -m 5 $url/v1/models >$dir/models.json &&
    grep -q '\"taxi\"' $dir/models.json && grep -q '\"shakespeare\"' $dir/models.json && grep -q '\"mine\"' $dir/models.json"
check "a forecast" sh -c "curl -fsS -m 20 -H 'Content-Type: text/csv' --data-binary @models/examples/taxi.csv \
    '$url/v1/forecast?model=taxi&horizon=48&quantiles=0.1,0.9' | grep -q '\"mean\":\\[[0-9]'"
check "a chat" sh -c "curl -fsS -m 30 $url/v1/chat/completions -H 'Content-Type: application/json' \
    -d '{\"model\":\"shakespeare\",\"seed\":1,\"max_tokens\":40,\"messages\":[{\"role\":\"user\",\"content\":\"Good morrow!\"}]}' |
    grep -q '\"finish_reason\":\"'"
check "a foreign Host is allowed where remote access is" curl -fsS -m 5 -H 'Host: rnnd.example' "$url/livez"
check "runs as uid 10001" sh -c "[ \"\$(podman inspect --format '{{.Config.User}}' $name)\" = 10001:10001 ] &&
    grep -q '^Uid:.10001.10001' /proc/\$(podman inspect --format '{{.State.Pid}}' $name)/status"
check "has no capabilities" sh -c "grep -q '^CapEff:.0000000000000000' /proc/\$(podman inspect --format '{{.State.Pid}}' $name)/status"
check "health check passes" podman healthcheck run "$name"
resident=$(awk '/^VmRSS/ {printf "%.1f MB", $2 / 1024}' "/proc/$(podman inspect --format '{{.State.Pid}}' "$name")/status")
t0=$(date +%s%N)
check "SIGTERM stops it" podman stop -t 10 "$name"
ms=$((($(date +%s%N) - t0) / 1000000))
check "with exit code 0" sh -c "[ \"\$(podman inspect --format '{{.State.ExitCode}}' $name)\" = 0 ]"
echo "      resident $resident; stopped in $ms ms"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
