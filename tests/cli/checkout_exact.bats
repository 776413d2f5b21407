#!/usr/bin/env bats
# pleach checkout: everything that a file has comes back (G8), whole or not at all (G2, G6).

load helper

# equal DIR DIR: rsync, which is not ours, finds no difference, to the nanosecond; nor does find.
equal() {
	same "$(rsync -aHAXS --modify-window=-1 --checksum --delete --dry-run --itemize-changes \
		"$1/" "$2/")" "" || return 1
	same "$(listing "$2")" "$(listing "$1")"
}

listing() {
	(cd "$1" && find . -printf '%y %m %U %G %n %T@ %s %l %p\0' | sort -z | tr '\0\n' '\n?' |
		sed -E '/^d/s/^(d [0-9]+ [0-9]+ [0-9]+) [0-9]+ ([^ ]+) [0-9]+/\1 \2/')
}

# Something of every kind that this user can make.
everything() {
	mkdir -p src/sub/deep src/empty src/z
	put a one
	put sub/b two
	: >src/nil
	ln src/a src/sub/hard
	ln src/a src/z/hard
	ln -s ../a src/sub/link
	ln src/sub/link src/z/link
	ln -s nowhere src/dangling
	mkfifo src/fifo
	python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("src/sock")'
	truncate -s 3M src/sparse
	printf data | dd of=src/sparse bs=1 seek=2M conv=notrunc status=none
	setfattr -n user.note -v hi src/sub/b 2>/dev/null || true
	setfattr -n user.note -v dir src/sub 2>/dev/null || true
	setfacl -m u:1234:r src/sub/b 2>/dev/null || true
	setfacl -m d:u:1234:rx src/sub/deep 2>/dev/null || true
	chmod 4711 src/a
	chmod 1770 src/empty
	touch -h -d '1969-12-31 23:59:58.123456789' src/sub/b src/sub/link
	touch -d '2021-01-01 00:00:00.000000007' src/sub/deep src/sub src/z
	chmod 500 src/z
	chmod 555 src
}

@test "a checkout is equal to what was published, as rsync sees it (G8)" {
	everything
	"$PLEACH" publish -q site ./src
	it 0 checkout site out
	equal src out
	it 0 checkout --update --delete site out
	equal src out
	same "$(find . -maxdepth 2 -name '.pleach-*' -not -path './store/*')" ""
}

@test "as root: devices, owners, privileged attributes (G8)" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	mknod probe c 1 3 2>/dev/null || skip "this root may not make devices"
	everything
	mknod src/null c 1 3
	mknod src/block b 7 99
	mknod src/whiteout c 0 0
	ln src/null src/sub/null2
	chown 12:34 src/sub/b src/sub src/null
	chown -h 56:78 src/sub/link
	put capable x
	if setfattr -n trusted.note -v t src/nil 2>/dev/null; then
		setfattr -n trusted.note -v t src/empty
		setfattr -h -n trusted.note -v t src/dangling
		setcap cap_net_raw+ep src/capable
	fi
	"$PLEACH" publish -q site ./src
	it 0 checkout site out
	equal src out
	same "$(cd out && getfattr -Rhd -m - . | sort)" "$(cd src && getfattr -Rhd -m - . | sort)"
}

@test "an ordinary user gets all but what is not his, and a list of that (G8)" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to publish what a user cannot restore"
	powerless true || skip "setpriv cannot take capabilities away"
	mknod probe c 1 3 2>/dev/null || skip "this root may not make devices"
	everything
	put foreign x
	chown 12:34 src/foreign
	chmod 6755 src/foreign
	touch -d '2020-02-02 02:02:02.22' src/foreign
	mknod src/null c 1 3
	if setfattr -n trusted.note -v t src/nil 2>/dev/null; then trusted='nil '; fi
	"$PLEACH" publish -q site ./src
	run --separate-stderr powerless "$PLEACH" --json checkout site out
	same "$status" 3
	same "$(jq -r '.not_restored | map(.path) | sort | join(" ")' <<<"$output")" \
		"foreign ${trusted-}null"
	same "$(stat -c '%a %Y %U' out/foreign)" "755 $(stat -c %Y src/foreign) root"
	absent out/null
	rm src/null
	chown 0:0 src/foreign
	chmod 755 src/foreign
	touch -d '2020-02-02 02:02:02.22' src/foreign
	[ -z "${trusted-}" ] || setfattr -x trusted.note src/nil
	touch -r out src
	equal src out
}

@test "a root that its owner may not write is renamed all the same, and has its mode" {
	put a one
	chmod 555 src
	"$PLEACH" publish -q site ./src
	run --separate-stderr powerless "$PLEACH" checkout site out
	same "$status" 0
	same "$(stat -c %a out)" 555
	mkdir there
	run --separate-stderr powerless "$PLEACH" checkout site there
	same "$status" 0
	same "$(stat -c %a there)" 555
	echo changed >src/a
	"$PLEACH" publish -q site ./src
	run --separate-stderr powerless "$PLEACH" checkout --update site there
	same "$status" 0
	equal src there
}

@test "directories that their owner may not enter come back, with the links into them" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to publish what its owner may not read"
	powerless true || skip "setpriv cannot take capabilities away"
	put closed/first shared
	ln src/closed/first src/zzz
	put closed/below/second other
	ln src/closed/below/second src/zzzz
	chmod 000 src/closed/below src/closed
	"$PLEACH" publish -q site ./src
	run --separate-stderr powerless "$PLEACH" checkout site out
	same "$status" 0
	equal src out
}

@test "holes stay holes" {
	truncate -s 64M src/hole
	truncate -s 64M src/data
	printf x | dd of=src/data bs=1 seek=32M conv=notrunc status=none
	[ "$(stat -c %b src/data)" -lt 1000 ] || skip "no holes on this file system"
	"$PLEACH" publish -q site ./src
	it 0 checkout site out
	[ "$(stat -c %b out/hole)" -lt 1000 ]
	[ "$(stat -c %b out/data)" -lt 1000 ]
	cmp src/data out/data
}

@test "a thousand levels, with few descriptors" {
	python3 - <<'PYTHON'
import os
os.chdir("src")
for i in range(1000):
    os.mkdir("d")
    os.chdir("d")
with open("deep", "w") as f:
    f.write("deep\n")
os.chmod(".", 0o500)
PYTHON
	(
		ulimit -n 256
		"$PLEACH" publish -q site ./src
		"$PLEACH" checkout site out
		"$PLEACH" checkout --update --delete site out
	)
	same "$(cd out && find . -type d | wc -l)" 1001
	same "$(cd out && find . -name deep -printf '%s %m')" "5 644"
	same "$(cd out && find . -depth -type d -printf '%m\n' | head -n 1)" 500
	equal src out
}

@test "names are bytes" {
	local name
	for name in $'new\nline' $'bad\xff\xfe' -dash '*' '...' ' ' $'\033[31m' "$(printf '%0255d' 0)"; do
		mkdir "src/$name"
		echo x >"src/$name/$name"
		ln -s -- "$name" "src/$name/l"
	done
	"$PLEACH" publish -q site ./src
	it 0 checkout site out
	equal src out
	rm -r "out/..." "out/*"
	it 0 checkout --update site out
	equal src out
}

@test "a checkout into the working directory" {
	put a one
	"$PLEACH" publish -q site ./src
	mkdir here
	cd here
	it 0 checkout site .
	cd ../here
	same "$(cat a)" one
	it 1 checkout site .
	it 0 checkout --update site .
	same "$(cat a)" one
}

@test "killed, it leaves no half, and the next one removes what there is (G2, G6)" {
	local i child round
	for i in $(seq 0 3999); do echo "$i" >"src/file$i"; done
	"$PLEACH" publish -q site ./src
	for _ in 1 2 3 4 5; do
		"$PLEACH" checkout site out 3>&- &
		child=$!
		# until some of it is there
		until compgen -G '.pleach-*/tree/file1*' >/dev/null || ! kill -0 "$child" 2>/dev/null; do :; done
		kill -9 "$child" 2>/dev/null || true
		wait "$child" || true
		if [ -e out ]; then # it was quicker
			equal src out
			rm -r out
			continue
		fi
		# or it was killed between removing what the one before left and making its own
		compgen -G '.pleach-*' >/dev/null && caught=yes
	done
	it 0 checkout site out
	equal src out
	same "$(compgen -G '.pleach-*' || true)" ""
	[ -n "${caught-}" ] || skip "it was always quicker"
}

@test "two at once do not take each other for dead" {
	local i
	for i in $(seq 0 999); do echo "$i" >"src/file$i"; done
	"$PLEACH" publish -q site ./src
	for i in 1 2 3 4 5 6; do "$PLEACH" checkout site "out$i" 3>&- & done
	wait
	for i in 1 2 3 4 5 6; do equal src "out$i"; done
	same "$(compgen -G '.pleach-*' || true)" ""
}

@test "--update makes it equal: content, metadata, links, kinds" {
	everything
	"$PLEACH" publish -q site ./src
	"$PLEACH" checkout site out
	chmod u+w out out/z
	echo changed >out/sub/b
	chmod 600 out/a
	rm out/sub/hard
	cp out/a out/sub/hard
	rm out/z/link out/fifo
	ln -s elsewhere out/z/link
	echo file >out/fifo
	ln out/nil alien
	touch out/sparse
	it 0 checkout --update site out
	equal src out
	same "$(stat -c %h alien)" 1
}

@test "--update leaves others alone, and what is in the way; --delete does not (G7)" {
	everything
	chmod u+w src
	"$PLEACH" publish -q site ./src
	"$PLEACH" checkout site out
	mkdir mine
	echo keep >mine/b
	echo x >out/other
	rm -r out/sub out/nil out/empty
	ln -s ../mine out/sub
	mkdir out/nil
	echo x >out/nil/x
	echo x >out/empty
	it 3 checkout --update site out
	like "$stderr" "nil: "
	like "$stderr" "sub: "
	like "$stderr" "empty: "
	like "$stderr" "hint: .*--delete|--delete would"
	same "$(cat out/other out/nil/x out/empty)" $'x\nx\nx'
	same "$(cat mine/b)" keep
	it 0 checkout --update --delete site out
	equal src out
	same "$(cat mine/b)" keep
}

@test "a store in the directory, or the directory in a store, is never updated (G7)" {
	put a one
	"$PLEACH" publish -q site ./src
	it 1 checkout --update --delete site .
	it 1 checkout --update --delete site store
	it 1 checkout --update site store/site
	it 1 checkout site store/.pleach/new
	it 0 check
	same "$(cat store/site/a src/a)" $'one\none'
}
