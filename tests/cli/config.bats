#!/usr/bin/env bats
# pleach config

load helper

@test "config lists all keys: value, where it is set, meaning" {
	it 0 config
	local key
	for key in keep keep-for keep-hourly keep-daily keep-weekly keep-monthly keep-placed spares \
		grace recycle metadata share merge max-size durability auto-gc synced; do
		like $'\n'"$output" $'\n'"$key +[^ ]+ +(default|store) +[^ ]"
	done
	like "$output" 'grace +5m +default'
	like "$output" 'keep-placed +2 +default'
}

@test "config --json lists key, value, where and meaning" {
	it 0 config --json
	json '.settings | map(select(.key == "grace"))[0] | [.value, .where, (.meaning | length > 0)]' \
		'["5m","default",true]'
	json '.settings | map(select(.key == "max-size"))[0].value' null
}

@test "config KEY prints the value" {
	it 0 config grace
	same "$output" 5m
	it 0 config spares keep
	same "$output" $'4\nall'
	it 0 config --json spares
	json '.settings | map([.key, .value])' '[["spares","4"]]'
}

@test "config KEY=VALUE sets, --unset goes back" {
	two_generations
	it 0 config grace=10m keep=7
	same "$output" ""
	same "$("$PLEACH" config grace keep | tr '\n' ' ')" "10m 7 "
	it 0 config --json grace
	json '.settings[0].where' '"store"'
	it 0 config --unset grace --unset keep
	same "$("$PLEACH" config grace keep | tr '\n' ' ')" "5m all "
}

@test "a ref has its own settings, and else follows the store" {
	two_generations
	"$PLEACH" publish -q other ./src
	it 0 config --ref site grace=1h
	same "$("$PLEACH" config --ref site grace)" 1h
	same "$("$PLEACH" config --ref other grace)" 5m
	same "$("$PLEACH" config grace)" 5m
	it 0 config --json --ref site grace
	json '.settings[0].where' '"ref"'
	it 0 config spares=1
	same "$("$PLEACH" config --ref site spares)" 1
	it 0 config --ref site --unset grace
	same "$("$PLEACH" config --ref site grace)" 5m
	it 10 config --ref nosuch grace=1h
}

@test "unknown keys are usage errors with the nearest one as a hint" {
	it 2 config grcae
	like "$stderr" "did you mean 'grace'"
	it 2 config grcae=5m
	it 2 config --unset nosuch
	it 2 --json config nosuch=1
	error_is usage
}

@test "wrong values are usage errors and change nothing" {
	local setting
	for setting in keep=x keep=-1 grace=5 grace=x keep-placed=many recycle=maybe metadata=most \
		share=all durability=half max-size=10X auto-gc=2 synced=now; do
		it 2 config "$setting"
		like "$stderr" "${setting%%=*}"
	done
	it 0 config --json
	json '[.settings[] | select(.where != "default") | .key] - ["metadata", "share", "durability"]' '[]'
}

@test "grace=0 and durations and sizes are taken as they are written" {
	local setting
	for setting in grace=0 grace=90s grace=12h keep-for=30d keep-for=4w max-size=5120K max-size=2G \
		keep=all keep=3 durability=none durability=full recycle=off recycle=move auto-gc=off; do
		it 0 config "$setting"
		same "$("$PLEACH" config "${setting%%=*}")" "${setting#*=}"
	done
}

@test "max-size is a size of the store, and of no ref" {
	two_generations
	it 0 config max-size=1G
	same "$("$PLEACH" config max-size)" 1G
	it 2 config max-size=1M
	like "$stderr" "less than an empty store takes"
	like "$stderr" "hint: 4M at least"
	it 2 config max-size=0
	it 2 config max-size=many
	it 2 config --ref site max-size=1G
	like "$stderr" "of the whole store"
	same "$("$PLEACH" config max-size)" 1G
	it 0 config --unset max-size
	same "$("$PLEACH" config max-size)" ""
}
