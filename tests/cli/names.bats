#!/usr/bin/env bats
# Names are bytes: what the kernel takes comes back, in text, in JSON, on a terminal.

load helper

newline=$'new\nline'
invalid=$'bad\xff\xfename'
dash=-dash
quotes=$'quo\'te"s\\'
blank=' two  blanks '
accent=$'caf\xc3\xa9'
escape=$'\033[31mred'

odd_names() {
	local name
	for name in "$newline" "$invalid" "$dash" "$quotes" "$blank" "$accent" "$escape" '*' '...' \
		"$(printf '%0255d' 0)"; do
		printf 'content of %s\n' "$name" >"src/$name"
	done
	mkdir "src/$newline.d" "src/$invalid.d"
	echo deep >"src/$newline.d/$invalid"
	"$PLEACH" publish -q site ./src
}

@test "ls writes names as they are to a pipe, and -z ends them with NUL" {
	odd_names
	"$PLEACH" ls -z site >got
	(cd src && printf '%s\0' * .*) | grep -zvxF -e . -e .. | LC_ALL=C sort -z >want
	cmp got want
	"$PLEACH" ls site | cmp - <(tr '\0' '\n' <want)
}

@test "ls quotes names on a terminal as coreutils ls does" {
	odd_names
	run on_terminal "$PLEACH" ls site
	local want
	want=$(cd src && LC_ALL=C.UTF-8 ls -A1 --quoting-style=shell-escape -- . | LC_ALL=C sort)
	same "$(printf '%s\n' "$output" | LC_ALL=C sort)" "$want"
	run on_terminal "$PLEACH" ls -z site
	like "$output" "$newline"
}

@test "JSON has valid UTF-8 as a string, and anything else as base64" {
	odd_names
	local name want
	"$PLEACH" ls --json site >all
	for name in "$newline" "$dash" "$quotes" "$blank" "$accent" "$escape"; do
		want=$(printf '%s' "$name" | jq -Rsc .)
		same "$(jq -c "select(.path == $want).path" all)" "$want"
	done
	want=$(printf '%s' "$invalid" | base64)
	same "$(jq -r 'select(.path | type == "object") | select(.path | keys == ["base64"]).path.base64' \
		all | grep -cxF "$want")" 1
	same "$(wc -l <all)" 12
}

@test "surrogates, overlong forms and what is above U+10FFFF are not UTF-8" {
	local name
	for name in $'\xed\xa0\x80' $'\xc0\xaf' $'\xf4\x90\x80\x80' $'\xe0\x80\xaf' $'a\xc3' $'\x80'; do
		: >"src/$name"
	done
	for name in $'\xef\xbf\xbd' $'\xf0\x9f\x8c\xb3' $'\xed\x9f\xbf'; do
		: >"src/$name"
	done
	"$PLEACH" publish -q site ./src
	it 0 ls --json site
	same "$(printf '%s\n' "$output" | jq -r '.path | type' | sort | uniq -c | xargs)" \
		"6 object 3 string"
}

@test "cat, diff and path take any name" {
	odd_names
	local name
	for name in "$newline" "$invalid" "$dash" "$quotes" "$blank" "$escape"; do
		"$PLEACH" cat "site:$name" | cmp - "src/$name"
		cmp "$("$PLEACH" path "site:$name")" "src/$name"
	done
	"$PLEACH" cat "site:$newline.d/$invalid" | cmp - <(echo deep)
}

@test "diff -z and --json are exact, -p quotes labels that would break a line" {
	odd_names
	echo more >>"src/$newline"
	echo more >>"src/$invalid"
	"$PLEACH" publish -q site ./src
	"$PLEACH" diff -z site >got
	printf 'M %s\0M %s\0' "$invalid" "$newline" >want
	cmp got want
	it 0 diff --json site
	same "$(printf '%s\n' "$output" | jq -c '.path | type')" $'"object"\n"string"'
	it 0 diff -p site -- "$newline"
	like "$output" 'b/new\\nline"'
}

@test "an exotic tree comes back from a checkout" {
	odd_names
	it 0 checkout site out
	diff -r src out
}

@test "sources, prefixes and patterns may be odd as well" {
	put a one
	mv src "$invalid"
	it 0 publish site "$newline=./$invalid"
	same "$("$PLEACH" ls -z site | tr '\0' '|')" "$newline|"
	: >"$invalid/$quotes"
	it 0 publish site "./$invalid" --exclude 'quo*'
	same "$("$PLEACH" ls site)" a
}

@test "messages and errors on a terminal bring no control characters" {
	put a one
	"$PLEACH" publish -q -m "$escape" site ./src
	run on_terminal env NO_COLOR=1 "$PLEACH" log site
	unlike "$output" $'\033'
	run on_terminal env NO_COLOR=1 "$PLEACH" publish site "./$escape"
	unlike "$output" $'\033'
}
