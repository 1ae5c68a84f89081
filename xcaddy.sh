#!/bin/sh
# Builds Caddy with the modules of this repository, runs it, tests it, and packs
# it as an image and as packages.
set -eu

case ${LC_ALL:-${LC_MESSAGES:-${LANG-}}} in
zh*) chinese=yes ;;
*) chinese= ;;
esac

usage() {
	if [ -n "$chinese" ]; then
		cat <<'USAGE'
用法：
  ./xcaddy.sh run [Caddyfile]
      编译 ./caddy 并在前台运行，默认使用 caddyfiles/quickstart.Caddyfile
  ./xcaddy.sh build [-o 文件] [--fast-rsa] [xcaddy 参数]
      编译 ./caddy 或指定的文件。加 --fast-rsa 时私钥运算由 OpenSSL 完成，
      耗时约为三分之一（仅 Linux；编译时需要 C 编译器，运行时需要
      libcrypto.so.3，没有则由 Go 运算）。要加其他插件，--with MODULE 等参数
      会交给 xcaddy，此时 PATH 中必须有 xcaddy。
  ./xcaddy.sh test [go test 参数]
      先编译测试要用的服务端程序，再运行全部测试
  ./xcaddy.sh image [-o 文件] [--fast-rsa]
      生成 OCI 镜像的 tar 文件，默认为 dist/image.tar
  ./xcaddy.sh package [-o 目录] [--fast-rsa]
      生成 .deb 和 .rpm，默认放在 dist；加 --fast-rsa 时包名为
      caddy-countersign-fast-rsa，依赖 libcrypto.so.3
GOOS、GOARCH 有效；COUNTERSIGN_VERSION 可以代替 git 得出的版本号。
USAGE
		return
	fi
	cat <<'USAGE'
usage:
  ./xcaddy.sh run [Caddyfile]
      builds ./caddy and runs it in the foreground, by default with
      caddyfiles/quickstart.Caddyfile
  ./xcaddy.sh build [-o FILE] [--fast-rsa] [xcaddy arguments]
      builds ./caddy, or FILE. With --fast-rsa OpenSSL computes with private
      keys, in a third of the time (Linux only; needs a C compiler to build, and
      libcrypto.so.3 to run: without it Go computes). Arguments such as --with
      MODULE, for more plugins, are for xcaddy, which must be on PATH then.
  ./xcaddy.sh test [go test arguments]
      builds the servers that tests need, then runs every test
  ./xcaddy.sh image [-o FILE] [--fast-rsa]
      writes an OCI image as a tar file, by default dist/image.tar
  ./xcaddy.sh package [-o DIR] [--fast-rsa]
      writes a .deb and an .rpm, by default to dist; those of --fast-rsa are
      called caddy-countersign-fast-rsa and depend on libcrypto.so.3
GOOS and GOARCH are respected, and COUNTERSIGN_VERSION replaces what git says
about the version.
USAGE
}

# say prints its first argument on standard error, or the second one, which is
# the same in Chinese, where the locale is Chinese.
say() {
	if [ -n "$chinese" ]; then
		printf 'xcaddy.sh: %s\n' "$2" >&2
	else
		printf 'xcaddy.sh: %s\n' "$1" >&2
	fi
}

die() {
	say "$@"
	exit 1
}

misused() {
	say "$@"
	usage >&2
	exit 2
}

module=github.com/countersign/caddy-countersign
# The name of the module that build_pinned makes, and so of its binaries.
main=caddy-countersign
# The tags of Caddy's own releases: they leave out databases of a certificate
# authority.
tags=nobadger,nomysql,nopgx
caller=$PWD
root=$(CDPATH='' cd -P -- "$(dirname -- "$0")" && pwd)

# Temporary directories, removed at the end.
staging=
work=
remove_temporary='rm -rf ${staging:+"$staging"} ${work:+"$work"}'
trap "$remove_temporary" EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# from_caller prints a path that the caller gave as it is seen from anywhere.
from_caller() {
	case $1 in
	/*) printf '%s\n' "$1" ;;
	*) printf '%s/%s\n' "$caller" "$1" ;;
	esac
}

# quote prints a word so that a shell reads it back.
quote() {
	case $1 in
	*[!A-Za-z0-9_./:@%+=-]*) printf "'%s'\n" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")" ;;
	*) printf '%s\n' "$1" ;;
	esac
}

# need_go ends the script unless the go command is there and new enough for
# go.mod, or able to fetch a toolchain that is.
need_go() {
	wanted=$(sed -n 's/^go //p' "$root/go.mod")
	command -v go >/dev/null || die \
		"the go command is not on PATH; install Go $wanted or later from https://go.dev/dl/" \
		"PATH 中没有 go 命令；请从 https://golang.google.cn/dl/ 安装 Go $wanted 或更新版本"
	complaint=$(cd "$root" && go list -m 2>&1 >/dev/null) && return
	# Outside of the module the toolchain is the one that is there already.
	have=$(cd / && go env GOVERSION 2>/dev/null) || have=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) || have='go'
	minor=${have#go1.}
	minor=${minor%%[!0-9]*}
	needed=${wanted#1.}
	if [ "${minor:-0}" -ge "${needed%%.*}" ]; then
		printf '%s\n' "$complaint" >&2
		die "the go command does not work in this directory; see above" "go 命令在本目录下无法使用，原因见上"
	fi
	fetch='go env -w GOTOOLCHAIN=auto GOPROXY=https'
	[ "${minor:-0}" -ge 21 ] || fetch= # older ones fetch no toolchain
	die "$have is too old, and the newer toolchain could not be fetched; install Go $wanted or later from https://go.dev/dl/${fetch:+, or let Go fetch it: $fetch://proxy.golang.org,direct (in mainland China: $fetch://goproxy.cn,direct)}" \
		"$have 版本过旧，且无法自动下载新的工具链；请从 https://golang.google.cn/dl/ 安装 Go $wanted 或更新版本${fetch:+，或让 Go 自动下载：$fetch://goproxy.cn,direct}"
}

# need_modules downloads what a package imports, in the current directory. It
# ends the script, with the command that mends it, if that fails.
need_modules() {
	if complaint=$(go list -mod=readonly -deps -tags="$tags" -f '{{if .Incomplete}}{{.ImportPath}}{{end}}' "$@" 2>&1); then
		return
	fi
	proxy=$(go env GOPROXY)
	case $complaint in
	*'dial tcp'* | *'Get "http'* | *timeout* | *'no such host'* | *'onnection re'* | *'server response'* | *'GOPROXY'*)
		# It says so for each module: once is enough.
		printf '%s\n' "$complaint" | sed -n '/^go: downloading/d;p;q' >&2
		die "the module proxy $proxy cannot be reached; name one that can: go env -w GOPROXY=https://proxy.golang.org,direct (in mainland China: go env -w GOPROXY=https://goproxy.cn,direct)" \
			"无法访问模块代理 $proxy；请换一个可以访问的代理：go env -w GOPROXY=https://goproxy.cn,direct"
		;;
	esac
	printf '%s\n' "$complaint" >&2
	die "the modules cannot be loaded; see above" "无法加载依赖模块，原因见上"
}

# use_fast_rsa sets the environment and the tags of the flavour in which the
# system's libcrypto computes with private keys.
use_fast_rsa() {
	system=$(go env GOOS)
	[ "$system" = linux ] || die \
		"--fast-rsa exists on Linux only, this build is for $system; leave it out" \
		"--fast-rsa 仅支持 Linux，当前构建目标是 $system；请去掉该参数"
	compiler=$(go env CC)
	command -v "${compiler%% *}" >/dev/null || die \
		"--fast-rsa needs cgo, and the C compiler $compiler is not on PATH; install it (Debian: apt-get install gcc libc6-dev) or leave --fast-rsa out" \
		"--fast-rsa 需要 cgo，而 PATH 中没有 C 编译器 $compiler；请安装（Debian：apt-get install gcc libc6-dev）或去掉 --fast-rsa"
	export GOEXPERIMENT='' CGO_ENABLED=1
	tags=$tags,fastrsa
}

# use_plain sets the environment of the usual flavour: no C compiler has a say
# in what comes out.
use_plain() {
	export GOEXPERIMENT='' CGO_ENABLED=0
}

# version prints the version of this module: COUNTERSIGN_VERSION, or the tag that
# git finds, with the distance from it, or a pseudo-version where there is none.
version() {
	found=${COUNTERSIGN_VERSION-}
	if [ -z "$found" ] && command -v git >/dev/null && [ -e "$root/.git" ]; then
		found=$(git -C "$root" describe --tags --dirty --match 'v[0-9]*.[0-9]*.[0-9]*' 2>/dev/null) ||
			found=$(TZ=UTC git -C "$root" log -1 --abbrev=12 --date=format-local:%Y%m%d%H%M%S --format=v0.0.0-%cd-%h 2>/dev/null) ||
			found=
	fi
	case $found in
	v[0-9]*) printf '%s\n' "$found" ;;
	[0-9]*) printf 'v%s\n' "$found" ;;
	*) printf 'v0.0.0-%s\n' "${found:-unknown}" ;;
	esac
}

# version_flag prints the linker's flag that makes `caddy version` name this
# module's version beside Caddy's.
version_flag() {
	printf -- '-X github.com/caddyserver/caddy/v2.CustomVersion=caddy-countersign@%s\n' "$1"
}

# build_pinned builds the main package of this module with the versions that
# go.sum pins. The flags leave out what differs between two machines: paths,
# the state of the checkout, build ids.
#
# `caddy list-modules --versions` knows the version of dependencies, not of the
# main module. So the main package is built in a module of its own, with this
# one as a dependency that lies in the directory above.
build_pinned() {
	staging=$(mktemp -d "$root/.xcaddy.XXXXXX")
	built_version=$(version)
	sed "s|^module .*|module $main|" "$root/go.mod" >"$staging/go.mod"
	cp "$root/go.sum" "$root/module/cmd/caddy/main.go" "$staging"
	(
		cd "$staging"
		go mod edit -require="$module@$built_version" -replace="$module=.."
		need_modules .
		go build -mod=readonly -trimpath -buildvcs=false \
			-ldflags="-s -w -buildid= $(version_flag "$built_version")" \
			-tags="$tags" -o "$1" .
	)
	rm -rf "$staging"
	staging=
}

# build_with_xcaddy runs xcaddy with the arguments given, in the caller's
# directory, so that a relative path among them stays right. Caddy itself is
# the version of go.mod, unless the arguments or the environment name another.
build_with_xcaddy() {
	output=$1
	shift
	command -v xcaddy >/dev/null || die \
		"xcaddy is not on PATH, and these arguments are for it: $*; install it with: go install github.com/caddyserver/xcaddy/cmd/xcaddy@latest" \
		"PATH 中没有 xcaddy，而这些参数是给它的：$*；请安装：go install github.com/caddyserver/xcaddy/cmd/xcaddy@latest"
	: "${CADDY_VERSION:=$(cd "$root" && go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)}"
	export CADDY_VERSION
	case $fast_rsa,${XCADDY_GO_BUILD_FLAGS-} in
	*,) XCADDY_GO_BUILD_FLAGS="-trimpath -ldflags='-s -w $(version_flag "$(version)")' -tags=$tags" ;;
	,* | *fastrsa*) ;;
	*) die "XCADDY_GO_BUILD_FLAGS is set, and its -tags lack fastrsa; add it, or unset the variable" \
		"已设置 XCADDY_GO_BUILD_FLAGS，但其 -tags 中没有 fastrsa；请补上，或取消该变量" ;;
	esac
	export XCADDY_GO_BUILD_FLAGS
	xcaddy build "$@" --with "$module/module" --replace "$module=$root" --output "$output"
}

build() {
	output=$root/caddy
	fast_rsa=
	# Every argument is looked at once; those for xcaddy go to the end of
	# the list and so remain, in their order.
	left=$#
	while [ "$left" -gt 0 ]; do
		argument=$1
		shift
		left=$((left - 1))
		case $argument in
		-o | --output)
			[ "$left" -gt 0 ] || misused "$argument needs a file" "$argument 后面缺少文件名"
			output=$(from_caller "$1")
			shift
			left=$((left - 1))
			;;
		-o=* | --output=*) output=$(from_caller "${argument#*=}") ;;
		--fast-rsa) fast_rsa=yes ;;
		*) set -- "$@" "$argument" ;;
		esac
	done
	need_go
	[ -z "$fast_rsa" ] || use_fast_rsa
	if [ $# -gt 0 ]; then
		build_with_xcaddy "$output" "$@"
	else
		[ -n "$fast_rsa" ] || use_plain
		build_pinned "$output"
	fi
}

# refresh builds ./caddy unless it is up to date. A binary that `build` made in
# another flavour stays in it; one with more plugins stays as it is.
refresh() {
	if [ ! -x "$root/caddy" ]; then
		say "building ./caddy; the first time this takes some minutes, and modules come from GOPROXY" "正在构建 ./caddy；首次构建需要几分钟，并通过 GOPROXY 下载依赖"
		build
		return
	fi
	if ! command -v go >/dev/null; then
		say "no go command on PATH: running ./caddy as it is" "PATH 中没有 go 命令：直接运行现有的 ./caddy"
		return
	fi
	info=$(go version -m "$root/caddy" 2>/dev/null || true)
	case $info in
	*"path	$main"*fastrsa*) build --fast-rsa ;;
	*"path	$main"*) build ;;
	*) say "./caddy was built with other plugins: running it as it is; build it again to take up changes" \
		"./caddy 带有其他插件：直接运行现有的文件；要使修改生效请重新构建" ;;
	esac
}

# listeners prints the addresses that a Caddyfile listens on, as host:port.
listeners() {
	./caddy adapt --config "$1" --adapter caddyfile 2>/dev/null | tr '{' '\n' |
		sed -n 's/.*"listen":\[\([^]]*\)\].*/\1/p' | tr -d '"' | tr ',' '\n' |
		sed -n 's/^:\([0-9][0-9]*\)$/127.0.0.1:\1/p; /^[^/]*:[0-9][0-9]*$/p' | grep -v '^:' || true
}

# answers reports whether something listens at an address. Without curl nothing
# is known, and nothing is said.
answers() {
	command -v curl >/dev/null || return 1
	code=0
	curl -s -o /dev/null --noproxy '*' --max-time 2 "http://$1/" || code=$?
	case $code in
	6 | 7) return 1 ;;
	esac
}

# need_ports ends the script if an address that the Caddyfile listens on is taken.
need_ports() {
	for address in $(listeners "$1"); do
		if answers "$address"; then
			die "$address is taken by another program; stop that (ss -ltnp 'sport = :${address##*:}' names it), or change the port in $1" \
				"$address 已被其他程序占用；请停掉它（ss -ltnp 'sport = :${address##*:}' 可以查到），或修改 $1 中的端口"
		fi
	done
}

# suggest waits until the port serves and prints the request to try, where the
# Caddyfile serves it by a sandbox. Caddy's own lines about its start are out by
# then. It ends when process $2, which is to serve, does.
suggest() {
	if ! grep -q '/easypay/' "$1" || ! grep -q 'countersign_sandbox easypay' "$1" || ! grep -q ':8080' "$1"; then
		return
	fi
	while ! answers 127.0.0.1:8080; do
		sleep 1
		kill -0 "$2" 2>/dev/null || return 0
		command -v curl >/dev/null || break
	done
	sleep 1
	if [ -n "$chinese" ]; then
		printf '\n已启动。请在另一个终端中执行：\n\n'
	else
		printf '\nReady. Try it, from another terminal:\n\n'
	fi
	printf '%s %s %s\n\n' \
		"curl -i -sS -H 'Content-Type: application/json' --data-binary" \
		"$(quote "@$root/caddyfiles/samples/easypay.json")" \
		http://127.0.0.1:8080/easypay/ledger/mpos
	if grep -q countersign_inspector "$1" && grep -q ':9090' "$1"; then
		if [ -n "$chinese" ]; then
			printf '在浏览器中查看经过：\n\n'
		else
			printf 'See what happens, in a browser:\n\n'
		fi
		printf '%s\n\n' http://127.0.0.1:9090/
	fi
}

run() {
	[ $# -le 1 ] || misused "run takes one Caddyfile" "run 只接受一个 Caddyfile"
	caddyfile=caddyfiles/quickstart.Caddyfile
	if [ $# -eq 1 ]; then
		caddyfile=$(from_caller "$1")
	fi
	cd "$root"
	[ -f "$caddyfile" ] || die "there is no Caddyfile $caddyfile" "找不到 Caddyfile：$caddyfile"
	refresh
	need_ports "$caddyfile"
	# Caddy takes the place of this shell and gets its signals. The inner
	# process is nobody's child, so that Caddy need not wait for it.
	( (suggest "$caddyfile" $$) & )
	exec ./caddy run --config "$caddyfile" --adapter caddyfile
}

# run_tests builds what tests run, which takes minutes the first time and so has
# no place within a test's time limit; then it runs the tests.
run_tests() {
	need_go
	cd "$root"
	# The flags of the release, so that most is compiled once for both.
	case " $* " in
	*' -race '*) ;; # needs cgo
	*) use_plain ;;
	esac
	# Tests compare texts in English, whatever the terminal speaks.
	export LC_ALL=C
	# Vet is no test; with it, go test looks at all of Caddy, which takes minutes.
	export GOFLAGS="${GOFLAGS-} -trimpath -vet=off"
	need_modules -test ./...
	go run ./integration/programs/build
	everything=yes
	limit='-timeout=120m'
	for argument; do
		case $argument in
		-timeout* | --timeout* | -test.timeout*) limit= ;;
		./* | . | ... | "$module"*) everything= ;;
		esac
	done
	if [ -z "$everything" ]; then
		go test $limit "$@"
		return
	fi
	go test $limit ./... "$@"
	# What only tools and tests need lies in modules of its own.
	for directory in integration/*/go.mod; do
		[ -f "$directory" ] || continue
		directory=${directory%/go.mod}
		say "the tests of $directory" "$directory 的测试"
		(cd "$directory" && GOWORK=off go test $limit ./... "$@")
	done
}

# pack_tool runs a command of integration/package, a module of its own.
pack_tool() {
	say "building the packer; the first time this takes a minute" "正在构建打包工具；首次构建需要约一分钟"
	(
		cd "$root/integration/package"
		tags=
		need_modules .
		GOWORK=off GOFLAGS='' go build -mod=readonly -trimpath -o "$work/pack" .
	)
	(cd "$root" && "$work/pack" "$@")
}

# for_host runs a function for this machine, whatever GOOS and GOARCH say.
for_host() (
	unset GOOS GOARCH
	trap 'rm -rf ${staging:+"$staging"}' EXIT # a subshell has no traps of its parent
	"$@"
)

# for_linux sets the system that images and packages are for. Without GOOS that is no
# question: they are built on other systems too.
for_linux() {
	[ "${GOOS:-linux}" = linux ] || die \
		"images and packages are for Linux, and GOOS is $GOOS; leave GOOS out" \
		"镜像和安装包只用于 Linux，而 GOOS 是 $GOOS；请去掉 GOOS"
	export GOOS=linux
}

image() {
	archive=$root/dist/image.tar
	flavour=
	while [ $# -gt 0 ]; do
		case $1 in
		-o | --output)
			[ $# -gt 1 ] || misused "$1 needs a file" "$1 后面缺少文件名"
			archive=$(from_caller "$2")
			shift
			;;
		-o=* | --output=*) archive=$(from_caller "${1#*=}") ;;
		--fast-rsa) flavour=--fast-rsa ;;
		*) misused "image does not take $1" "image 不接受参数 $1" ;;
		esac
		shift
	done
	for_linux
	need_go
	if [ -n "$flavour" ]; then
		command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || die \
			"image --fast-rsa takes libraries out of Debian's packages, and apt-get or dpkg-deb is missing; run it on Debian, or leave --fast-rsa out" \
			"image --fast-rsa 需要从 Debian 软件包中取库文件，而本机没有 apt-get 或 dpkg-deb；请在 Debian 上运行，或去掉 --fast-rsa"
		say "the C library, OpenSSL and certificates come from the mirror of this machine's apt-get" "C 库、OpenSSL 和证书将通过本机 apt-get 配置的软件源下载"
	fi
	work=$(mktemp -d)
	build -o "$work/caddy" $flavour
	for_host pack_tool image -binary "$work/caddy" -version "$(version)" -o "$archive" ${flavour:+-debian}
}

package() {
	directory=$root/dist
	flavour=
	while [ $# -gt 0 ]; do
		case $1 in
		-o | --output)
			[ $# -gt 1 ] || misused "$1 needs a directory" "$1 后面缺少目录名"
			directory=$(from_caller "$2")
			shift
			;;
		-o=* | --output=*) directory=$(from_caller "${1#*=}") ;;
		--fast-rsa) flavour=--fast-rsa ;;
		*) misused "package does not take $1" "package 不接受参数 $1" ;;
		esac
		shift
	done
	for_linux
	need_go
	work=$(mktemp -d)
	build -o "$work/caddy" $flavour
	# Caddy writes its own man pages, so one is needed that runs here.
	host=$work/caddy
	if ! "$host" version >/dev/null 2>&1; then
		host=$work/caddy-host
		for_host build -o "$host"
	fi
	for_host pack_tool package -binary "$work/caddy" -documentation "$host" -version "$(version)" -o "$directory"
}

command=${1-}
[ $# -eq 0 ] || shift
case ${1-} in
-h | --help)
	usage
	exit
	;;
esac
case $command in
run) run "$@" ;;
build) build "$@" ;;
test) run_tests "$@" ;;
image) image "$@" ;;
package) package "$@" ;;
help | -h | --help) usage ;;
'') misused "a command is missing" "缺少子命令" ;;
*) misused "unknown command: $command" "未知的子命令：$command" ;;
esac
