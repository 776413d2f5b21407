/* Hashes are those of FIPS 180-4, however the bytes are handed in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "object/object.h"

static const struct {
	const char *text;
	const char *hex;
} vectors[] = {
	{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	{"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
	 "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
	 "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};
#define MILLION_A "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

static void assert_id(const struct pl_id *id, const char *hex)
{
	char found[PL_ID_HEX + 1];

	assert_string_equal(pl_id_hex(id, found), hex);
}

static void the_published_vectors_hold(void **state)
{
	struct pl_id id;

	for (size_t i = 0; i < PL_ARRAY_LEN(vectors); i++) {
		pl_hash_of(vectors[i].text, strlen(vectors[i].text), &id);
		assert_id(&id, vectors[i].hex);
	}
	pl_hash_of(NULL, 0, &id);
	assert_true(pl_id_equal(&id, &pl_hash_empty));
	assert_id(&pl_hash_empty, vectors[0].hex);
}

static void a_hash_does_not_depend_on_the_pieces_and_begins_anew(void **state)
{
	struct pl_hash *hash;
	struct pl_id id;
	char *text = malloc(1000000);

	assert_non_null(text);
	memset(text, 'a', 1000000);
	assert_int_equal(pl_hash_new(&hash), 0);
	for (size_t piece = 1; piece < 1000000; piece = piece * 7 + 3) {
		for (size_t at = 0; at < 1000000; at += piece)
			pl_hash_add(hash, text + at, 1000000 - at < piece ? 1000000 - at : piece);
		pl_hash_add(hash, NULL, 0);
		pl_hash_end(hash, &id);
		assert_id(&id, MILLION_A);
	}
	pl_hash_end(hash, &id);
	assert_true(pl_id_equal(&id, &pl_hash_empty));
	pl_hash_free(hash);
	pl_hash_free(NULL);
	free(text);
}

/* From where a pipe stands, then the end of a file, behind each other. */
static void what_is_copied_is_hashed_and_counted(void **state)
{
	FILE *source = tmpfile(), *copy = tmpfile();
	struct pl_id found, expected;
	struct pl_hash *hash;
	uint64_t size = 2;
	char text[300003];
	int ends[2];

	(void)state;
	assert_non_null(source);
	assert_non_null(copy);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 7 / 3);
	assert_int_equal(pl_write_full(fileno(source), text, sizeof(text)), 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pl_write_full(ends[1], text, 3), 0);
	close(ends[1]);
	assert_int_equal(pl_hash_new(&hash), 0);
	assert_int_equal(pl_hash_copy(hash, ends[0], PL_COPY_HERE, fileno(copy), &size), 0);
	assert_int_equal(pl_hash_copy(hash, fileno(source), 3, fileno(copy), &size), 0);
	assert_int_equal(size, 2 + sizeof(text));
	pl_hash_end(hash, &found);
	pl_hash_of(text, sizeof(text), &expected);
	assert_true(pl_id_equal(&found, &expected));
	assert_int_equal(pl_hash_copy(hash, fileno(copy), 0, ends[0], &size), -EBADF);
	pl_hash_free(hash);
	memset(text, 0, sizeof(text));
	assert_int_equal(pl_pread_full(fileno(copy), text, sizeof(text), 0), sizeof(text));
	pl_hash_of(text, sizeof(text), &found);
	assert_true(pl_id_equal(&found, &expected));
	close(ends[0]);
	fclose(source);
	fclose(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_vectors_hold),
		cmocka_unit_test(what_is_copied_is_hashed_and_counted),
		cmocka_unit_test(a_hash_does_not_depend_on_the_pieces_and_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
