#!/usr/bin/env bats
# pleach check

load helper

@test "check of a store that is well is silent" {
	two_generations
	"$PLEACH" tag site v @1
	"$PLEACH" attach site there
	it 0 check
	same "$output$stderr" ""
	it 0 check --quick
	same "$output$stderr" ""
	it 0 check --jobs 2 site
	same "$output$stderr" ""
	it 0 check -v
	same "$output" ""
	like "$stderr" "verified [0-9]+ objects"
}

@test "check of an empty store is silent" {
	it 0 check
	same "$output$stderr" ""
}

@test "check names each fault on stdout, one a line, exit 13" {
	put a 'first content'
	put b 'second content'
	put c 'third content'
	"$PLEACH" publish -q site ./src
	damage 'first content'
	damage 'third content'
	it 13 check
	[ "${#lines[@]}" -ge 2 ]
	same "$(printf '%s\n' "$output" | grep -vc '^fault: \|^  hurts site@1: [ac]$')" 0
	like "$output" "objects/"
	like "$stderr" "^pleach: "
}

@test "check --json is one document with counts and findings" {
	put a 'first content'
	"$PLEACH" publish -q site ./src
	it 0 check --json
	json '[.faults, .unverified, .findings]' '[0,0,[]]'
	json '[.objects, .records, .trees, .placed]' '[1,1,1,1]'
	damage 'first content'
	it 13 check --json
	json '[.error.code, (.faults > 0), (.findings | length > 0)]' '["corrupt",true,true]'
	json '[.findings[0] | keys[]]' '["fault","generation","hurts","id","kind","mended","message","path","ref"]'
}

@test "check changes nothing" {
	put a 'first content'
	"$PLEACH" publish -q site ./src
	damage 'first content'
	local before
	before=$(find store -printf '%p %i %s %T@\n' | sort)
	it 13 check
	same "$(find store -printf '%p %i %s %T@\n' | sort)" "$before"
}

@test "check finds a record and a node that were changed" {
	two_generations
	local file
	for file in store/.pleach/refs/site/gen/1 "$(find store/.pleach/nodes -type f | head -n 1)"; do
		cp -p "$file" copy
		chmod u+w "$file"
		printf '#' | dd of="$file" conv=notrunc bs=1 seek=5 status=none
		it 13 check
		cp -p copy "$file"
		rm -f copy
	done
	it 0 check
}

@test "check finds a stray write through a published path (G4)" {
	two_generations
	chmod u+w store/site/c
	echo stray >>store/site/c
	it 13 check
	like "$output" "c"
}

@test "check REF looks only at what it needs" {
	put a 'first content'
	"$PLEACH" publish -q one ./src
	put a 'second content'
	"$PLEACH" publish -q two ./src
	damage 'second content'
	it 0 check one
	it 13 check two
	it 13 check
	it 10 check nosuch
}

@test "root is not told to be root for what nobody can verify" {
	two_generations
	rm store/site
	it 3 check
	like "$output" "public site: is missing"
	like "$stderr" "not verified: 1"
	if [ "$(id -u)" -eq 0 ]; then
		unlike "$stderr" "hint:"
	fi
}

@test "inside of a transaction its ref's public path is not verified, and no fault" {
	two_generations
	"$PLEACH" publish -q other ./src
	it 0 run site -- sh -c '"$PLEACH" check >out 2>err; test $? = 3 &&
		"$PLEACH" check other'
	same "$(cat out)" "not verified: public site: is not seen from inside of a transaction on it (site)"
	it 0 check
}

@test "check says which generations and paths a fault hurts, and of what id it is" {
	put a 'first content'
	put d/b 'second content'
	"$PLEACH" publish -q site ./src
	put c 'third content'
	"$PLEACH" publish -q site ./src
	"$PLEACH" publish -q other ./src
	damage 'second content'
	it 13 check --json
	json '[.findings[] | select(.kind == "object") | .hurts[] | "\(.ref)@\(.generation):\(.path)"]' \
		'["other@1:d/b","site@2:d/b","site@1:d/b"]'
	json '[.findings[] | select(.kind == "object") | .path == ".pleach/objects/" + .id[0:2] + "/" + .id[2:]]' '[true]'
	json '[.findings[] | select(.kind == "placed") | .hurts[] | "\(.ref)@\(.generation):\(.path)"] | sort | unique' \
		'["other@1:d/b","site@1:d/b","site@2:d/b"]'
	it 13 check
	like "$output" "hurts site@1: d/b"
	find store/.pleach/objects -type f -delete
	it 13 check
	like "$output" "hurts site@2: c"
}

@test "check lists no more than ten hurt paths, and all of them with -v" {
	local i
	put a 'the content'
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
		put b "$i"
		"$PLEACH" publish -q site ./src
	done
	damage 'the content'
	it 13 check
	like "$output" "and 2 more \\(-v lists them all\\)"
	it 13 check -v
	unlike "$output" "more"
	like "$output" "hurts site@1: a"
}

@test "check says whom a lost node hurts" {
	put a 'first content'
	put d/e/b 'second content'
	"$PLEACH" publish -q site ./src
	local node paths=
	for node in $(find store/.pleach/nodes -type f); do
		mv "$node" kept
		it 13 check --json
		json '[.findings[] | select(.kind == "node") | .hurts | length]' '[1]'
		paths+="$(printf '%s' "$output" |
			jq -c '.findings[] | select(.kind == "node") | .hurts[0] | [.ref, .generation, .path]') "
		mv kept "$node"
	done
	same "$(printf '%s\n' $paths | sort | tr '\n' ' ')" '["site",1,""] ["site",1,"d"] ["site",1,"d/e"] '
}
