#!/usr/bin/env bats
# The command line itself: help, version, options, usage errors, error documents.

load helper

@test "version prints name and number, without a store" {
	export PLEACH_STORE=/nonexistent
	it 0 version
	same "$output" "pleach 0.1.0"
	it 0 --version
	same "$output" "pleach 0.1.0"
	it 0 version --json
	same "$output" '{"version":"0.1.0"}'
}

@test "help lists every command in a line of at most 80 columns" {
	it 0 help
	for command in init publish rollback run sync begin commit abort log ls cat diff path wait status \
		tag pin checkout \
		attach detach config drop check dedup help version; do
		like "$output" $'\n'"  $command +[a-z]"
	done
	same "$(printf '%s\n' "$output" | awk 'length > 80')" ""
	same "$stderr" ""
	local list=$output
	it 0 --help
	same "$output" "$list"
}

@test "help COMMAND is COMMAND --help, on stdout, at most 80 columns" {
	for command in $("$PLEACH" help --json | jq -r '.commands[].name'); do
		it 0 help "$command"
		local text=$output
		like "$text" "^usage: pleach $command"
		same "$(printf '%s\n' "$text" | awk 'length > 80')" ""
		it 0 "$command" --help
		same "$output" "$text"
		same "$stderr" ""
		it 0 "$command" -h
		same "$output" "$text"
	done
}

@test "--help before a command is that command's" {
	it 0 --help publish
	like "$output" "^usage: pleach publish"
}

@test "help is asked for before operands are missed" {
	it 0 publish --if-head 3 --help
	like "$output" "^usage: pleach publish"
}

@test "help of an unknown command is a usage error" {
	it 2 help pubish
	like "$stderr" "did you mean 'publish'"
}

@test "no command is a usage error of two lines" {
	it 2
	same "${stderr_lines[0]}" "pleach: no command given"
	like "${stderr_lines[1]}" "^hint: "
	same "$output" ""
}

@test "an unknown command gets the nearest one as a hint" {
	it 2 pubish
	same "${stderr_lines[0]}" "pleach: unknown command 'pubish'"
	same "${stderr_lines[1]}" "hint: did you mean 'publish'?"
	it 2 stauts
	same "${stderr_lines[1]}" "hint: did you mean 'status'?"
	it 2 check-out
	same "${stderr_lines[1]}" "hint: did you mean 'checkout'?"
	it 2 xyzzy
	unlike "$stderr" "did you mean"
}

@test "commands of later versions are unknown" {
	for command in export build web; do
		it 2 "$command"
		like "$stderr" "unknown command '$command'"
	done
}

@test "an unknown option gets the nearest one as a hint" {
	it 2 publish site ./src --exlude x
	same "${stderr_lines[0]}" "pleach: publish: unknown option '--exlude'"
	same "${stderr_lines[1]}" "hint: did you mean '--exclude'?"
	it 2 ls -x site
	like "$stderr" "unknown option '-x'"
}

@test "too few and too many operands are usage errors that show the usage" {
	it 2 publish site
	like "$stderr" "hint: usage: pleach publish REF SOURCE"
	it 2 cat a b
	like "$stderr" "too many: 'b'"
	it 2 log site path
	like "$stderr" "-- PATH"
}

@test "numbers, durations and choices are read strictly" {
	two_generations
	for number in x -1 1x '' 99999999999999999999 0x1; do
		it 2 log site -n "$number"
	done
	for duration in 5 s 5x 5ms -1s 99999999999999999999s; do
		it 2 wait site --timeout "$duration"
		like "$stderr" "duration"
	done
	it 2 publish site ./src --on-clash=second
	like "$stderr" "error\|first\|last"
	it 2 --progress=loud version
}

@test "options stand anywhere before --" {
	put a one
	it 0 publish -m first site ./src
	put a two
	it 0 publish site ./src -m second
	put a three
	it 0 publish site -m third ./src
	it 0 log --json site
	same "$(printf '%s\n' "$output" | jq -r .message | tr '\n' ' ')" "third second first "
}

@test "what stands behind -- is no option" {
	mkdir -- ./--json
	it 1 publish site -- --json/nothing
	unlike "$output" "error"
	put a one
	mv src -- -m
	it 0 publish -- site ./-m
}

@test "values come as --name=value, --name value, -xvalue and -x value" {
	two_generations
	for form in --max-count=1 '--max-count 1' -n1 '-n 1'; do
		# shellcheck disable=SC2086 # two words
		it 0 log site $form
		same "${#lines[@]}" 1
	done
}

@test "short options can be clustered" {
	two_generations
	it 0 ls -l -R site
	local apart=$output
	it 0 ls -lR site
	same "$output" "$apart"
	it 0 log -zn1 site
	same "$("$PLEACH" log -zn1 site | tr '\0' '\n')" "$("$PLEACH" log -n 1 site)"
}

@test "a long option can be cut to a unique beginning" {
	two_generations
	it 0 log --max=1 site
	same "${#lines[@]}" 1
	it 2 publish --j site ./src
	like "$stderr" "more than one option begins with '--j'"
}

@test "a value that is missing, and one too many, are usage errors" {
	it 2 publish site ./src -m
	like "$stderr" "a value is missing behind '-m'"
	it 2 ls --long=yes site
	like "$stderr" "takes no value"
}

@test "global options are taken before and after the command" {
	put a one
	"$PLEACH" publish -q site ./src
	unset PLEACH_STORE
	cd /
	it 0 --store "$BATS_TEST_TMPDIR/store" --json log site
	local before=$output
	it 0 log site --json --store="$BATS_TEST_TMPDIR/store"
	same "$output" "$before"
}

@test "the store is --store, else PLEACH_STORE, else the nearest above" {
	put a one
	"$PLEACH" publish -q site ./src
	it 0 --store store log site
	it 10 --store nowhere log site
	mkdir -p store/deep/down
	cd store/deep/down
	PLEACH_STORE=/nonexistent it 10 log site
	unset PLEACH_STORE
	it 0 log site
	PLEACH_STORE='' it 0 log site
	cd /
	it 10 log site
	like "$stderr" "^pleach: "
	like "$stderr" "hint: "
}

@test "with --json a failure is a document on stdout and a line on stderr" {
	it 10 --json log nosuch
	error_is not-found
	like "$stderr" "^pleach: "
	it 2 publish site --bogus --json
	error_is usage
	it 2 --json nosuch
	error_is usage
}

@test "-q with --json leaves stderr empty, and -q alone does not" {
	it 10 --json -q log nosuch
	error_is not-found
	same "$stderr" ""
	it 10 -q log nosuch
	like "$stderr" "^pleach: "
	same "$output" ""
}

@test "an error is one line and a hint whatever is in the names" {
	it 1 publish site $'./a\nb\tc'
	same "${#stderr_lines[@]}" "$(printf '%s\n' "$stderr" | grep -c -e '^pleach: ' -e '^hint: ')"
	like "$stderr" 'a\\nb\\tc'
}

@test "a path in an error document is exact, also where it is not UTF-8" {
	it 1 --json publish site $'./a\nb'
	json .error.path '"./a\nb"'
	it 1 --json publish site $'./bad\xff'
	json .error.path "{\"base64\":\"$(printf './bad\xff' | base64)\"}"
}

@test "help as JSON is one document" {
	it 0 --json help
	json '.commands | length' 28
	it 0 publish --json --help
	json '[.name, (.options | map(.name) | index("exclude") != null)]' '["publish",true]'
}

@test "a full or closed stdout is an error" {
	run -14 --separate-stderr bash -c '"$PLEACH" help >/dev/full'
	like "$stderr" "cannot write the output: No space left"
	run -1 --separate-stderr bash -c '"$PLEACH" help >&-'
	like "$stderr" "cannot write the output"
}

@test "a closed pipe ends it quietly" {
	head -c 1000000 /dev/zero >src/big
	"$PLEACH" publish -q site ./src
	run --separate-stderr bash -c '"$PLEACH" cat site:big | head -c 1 >/dev/null
		echo "${PIPESTATUS[0]}"'
	same "$output" 141
	same "$stderr" ""
}

@test "colours are for terminals, and NO_COLOR turns them off" {
	run on_terminal "$PLEACH" nosuch
	like "$output" $'\033'
	NO_COLOR=1 run on_terminal "$PLEACH" nosuch
	unlike "$output" $'\033'
	it 2 nosuch
	unlike "$stderr" $'\033'
}
