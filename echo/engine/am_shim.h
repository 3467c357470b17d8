// Declarations of the part of automerge-c 0.1.0 that this package calls, and
// of the shim around it. The library itself is linked by importing
// automerge-go, whose own header cannot be included from outside its module.

#ifndef ECHOFS_AM_SHIM_H
#define ECHOFS_AM_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct AMactorId AMactorId;
typedef struct AMchange AMchange;
typedef struct AMdoc AMdoc;
typedef struct AMitem AMitem;
typedef struct AMobjId AMobjId;
typedef struct AMresult AMresult;

typedef struct AMbyteSpan {
	const uint8_t *src;
	size_t count;
} AMbyteSpan;

typedef struct AMitems {
	uint8_t detail[24];
} AMitems;

typedef struct AMunknownValue {
	AMbyteSpan bytes;
	uint8_t type_code;
} AMunknownValue;

enum { AM_OBJ_LIST = 1, AM_OBJ_MAP = 2, AM_OBJ_TEXT = 3 };

enum {
	AM_VAL_VOID = 1 << 0,
	AM_VAL_BOOL = 1 << 2,
	AM_VAL_BYTES = 1 << 3,
	AM_VAL_CHANGE = 1 << 4,
	AM_VAL_CHANGE_HASH = 1 << 5,
	AM_VAL_COUNTER = 1 << 6,
	AM_VAL_F64 = 1 << 8,
	AM_VAL_INT = 1 << 9,
	AM_VAL_NULL = 1 << 11,
	AM_VAL_OBJ = 1 << 12,
	AM_VAL_STR = 1 << 13,
	AM_VAL_TIMESTAMP = 1 << 17,
	AM_VAL_UINT = 1 << 18,
	AM_VAL_UNKNOWN = 1 << 19,
};

// Results. A result owns its items; everything reached through an item lives
// as long as the result.
void AMresultFree(AMresult *result);
uint8_t AMresultStatus(const AMresult *result);
AMbyteSpan AMresultError(const AMresult *result);
AMitem *AMresultItem(AMresult *result);
AMitems AMresultItems(AMresult *result);
size_t AMresultSize(const AMresult *result);
AMresult *AMresultCat(const AMresult *dest, const AMresult *src);
AMitem *AMitemsNext(AMitems *items, ptrdiff_t n);
size_t AMitemsSize(const AMitems *items);

// Items.
uint32_t AMitemValType(const AMitem *item);
const AMobjId *AMitemObjId(const AMitem *item);
bool AMitemKey(const AMitem *item, AMbyteSpan *value);
bool AMitemToBool(const AMitem *item, bool *value);
bool AMitemToBytes(const AMitem *item, AMbyteSpan *value);
bool AMitemToChange(AMitem *item, AMchange **value);
bool AMitemToChangeHash(const AMitem *item, AMbyteSpan *value);
bool AMitemToCounter(const AMitem *item, int64_t *value);
bool AMitemToDoc(AMitem *item, const AMdoc **value);
bool AMitemToActorId(const AMitem *item, const AMactorId **value);
bool AMitemToF64(const AMitem *item, double *value);
bool AMitemToInt(const AMitem *item, int64_t *value);
bool AMitemToStr(const AMitem *item, AMbyteSpan *value);
bool AMitemToTimestamp(const AMitem *item, int64_t *value);
bool AMitemToUint(const AMitem *item, uint64_t *value);
bool AMitemToUnknown(const AMitem *item, AMunknownValue *value);
AMresult *AMitemFromChangeHash(AMbyteSpan value);

// Documents.
AMresult *AMactorIdFromBytes(const uint8_t *src, size_t count);
AMresult *AMcreate(const AMactorId *actor_id);
AMresult *AMload(const uint8_t *src, size_t count);
AMresult *AMloadIncremental(AMdoc *doc, const uint8_t *src, size_t count);
AMresult *AMsave(AMdoc *doc);
AMresult *AMclone(const AMdoc *doc);
AMresult *AMfork(AMdoc *doc, const AMitems *heads);
AMresult *AMgetHeads(AMdoc *doc);
AMresult *AMgetChangeByHash(AMdoc *doc, const uint8_t *src, size_t count);
AMresult *AMgetChanges(AMdoc *doc, const AMitems *have_deps);
AMresult *AMsetActorId(AMdoc *doc, const AMactorId *actor_id);
AMresult *AMcommit(AMdoc *doc, AMbyteSpan message, const int64_t *timestamp);
AMbyteSpan AMchangeHash(const AMchange *change);
AMbyteSpan AMchangeRawBytes(const AMchange *change);

// Objects.
uint8_t AMobjObjType(const AMdoc *doc, const AMobjId *obj);
size_t AMobjSize(const AMdoc *doc, const AMobjId *obj, const AMitems *heads);
AMresult *AMmapGet(const AMdoc *doc, const AMobjId *obj, AMbyteSpan key, const AMitems *heads);
AMresult *AMmapGetAll(const AMdoc *doc, const AMobjId *obj, AMbyteSpan key, const AMitems *heads);
AMresult *AMmapRange(const AMdoc *doc, const AMobjId *obj, AMbyteSpan begin, AMbyteSpan end, const AMitems *heads);
AMresult *AMlistGet(const AMdoc *doc, const AMobjId *obj, size_t pos, const AMitems *heads);
AMresult *AMlistGetAll(const AMdoc *doc, const AMobjId *obj, size_t pos, const AMitems *heads);
AMresult *AMlistRange(const AMdoc *doc, const AMobjId *obj, size_t begin, size_t end, const AMitems *heads);
AMresult *AMtext(const AMdoc *doc, const AMobjId *obj, const AMitems *heads);
AMresult *AMspliceText(AMdoc *doc, const AMobjId *obj, size_t pos, ptrdiff_t del, AMbyteSpan text);
AMresult *AMmapDelete(AMdoc *doc, const AMobjId *obj, AMbyteSpan key);
AMresult *AMlistDelete(AMdoc *doc, const AMobjId *obj, size_t pos);
AMresult *AMmapIncrement(AMdoc *doc, const AMobjId *obj, AMbyteSpan key, int64_t value);
AMresult *AMlistIncrement(AMdoc *doc, const AMobjId *obj, size_t pos, int64_t value);

AMresult *AMmapPutBool(AMdoc *doc, const AMobjId *obj, AMbyteSpan key, bool value);
AMresult *AMmapPutBytes(AMdoc *doc, const AMobjId *obj, AMbyteSpan key, AMbyteSpan value);
AMresult *AMmapPutCounter(AMdoc *doc, const AMobjId *obj, AMbyteSpan key, int64_t value);
AMresult *AMmapPutF64(AMdoc *doc, const AMobjId *obj, AMbyteSpan key, double value);
AMresult *AMmapPutInt(AMdoc *doc, const AMobjId *obj, AMbyteSpan key, int64_t value);
AMresult *AMmapPutNull(AMdoc *doc, const AMobjId *obj, AMbyteSpan key);
AMresult *AMmapPutObject(AMdoc *doc, const AMobjId *obj, AMbyteSpan key, uint8_t type);
AMresult *AMmapPutStr(AMdoc *doc, const AMobjId *obj, AMbyteSpan key, AMbyteSpan value);
AMresult *AMmapPutTimestamp(AMdoc *doc, const AMobjId *obj, AMbyteSpan key, int64_t value);
AMresult *AMmapPutUint(AMdoc *doc, const AMobjId *obj, AMbyteSpan key, uint64_t value);
AMresult *AMlistPutBool(AMdoc *doc, const AMobjId *obj, size_t pos, bool insert, bool value);
AMresult *AMlistPutBytes(AMdoc *doc, const AMobjId *obj, size_t pos, bool insert, AMbyteSpan value);
AMresult *AMlistPutCounter(AMdoc *doc, const AMobjId *obj, size_t pos, bool insert, int64_t value);
AMresult *AMlistPutF64(AMdoc *doc, const AMobjId *obj, size_t pos, bool insert, double value);
AMresult *AMlistPutInt(AMdoc *doc, const AMobjId *obj, size_t pos, bool insert, int64_t value);
AMresult *AMlistPutNull(AMdoc *doc, const AMobjId *obj, size_t pos, bool insert);
AMresult *AMlistPutObject(AMdoc *doc, const AMobjId *obj, size_t pos, bool insert, uint8_t type);
AMresult *AMlistPutStr(AMdoc *doc, const AMobjId *obj, size_t pos, bool insert, AMbyteSpan value);
AMresult *AMlistPutTimestamp(AMdoc *doc, const AMobjId *obj, size_t pos, bool insert, int64_t value);
AMresult *AMlistPutUint(AMdoc *doc, const AMobjId *obj, size_t pos, bool insert, uint64_t value);

// eng_buf is an output buffer that grows up to max bytes. fail is one of the
// codes below, and the first failure stays.
typedef struct eng_buf {
	uint8_t *p;
	size_t n, cap, max;
	int fail;
	char why[160]; // the core's words, for ENG_CORE
} eng_buf;

enum { ENG_VALUE_VERSION = 1 }; // of the stored form of doc.Value

enum { ENG_OK = 0, ENG_DEEP = 1, ENG_LARGE = 2, ENG_MEMORY = 3, ENG_CORE = 4 };

// eng_place names where a value is put: the key of a map, or a position of a
// list, before which it is inserted if insert is set.
typedef struct eng_place {
	bool in_list, insert;
	size_t pos;
} eng_place;

// eng_scalar is a value without children; which member counts depends on kind,
// a doc.Kind. Bytes are passed beside it.
typedef struct eng_scalar {
	uint8_t kind;
	int64_t i;
	uint64_t u;
	double f;
} eng_scalar;

AMresult *eng_hashes(const uint8_t *hashes, size_t n);
AMresult *eng_fork(AMdoc *doc, const uint8_t *hashes, size_t n);
AMresult *eng_set_actor(AMdoc *doc, const uint8_t *actor, size_t n);
AMresult *eng_commit(AMdoc *doc, const uint8_t *message, size_t n, int64_t seconds);
AMresult *eng_get(AMdoc *doc, const AMobjId *obj, eng_place at, const uint8_t *key, size_t nkey);
AMresult *eng_put(AMdoc *doc, const AMobjId *obj, eng_place at, const uint8_t *key, size_t nkey,
                  const eng_scalar *v, const uint8_t *bytes, size_t nbytes);
AMresult *eng_put_object(AMdoc *doc, const AMobjId *obj, eng_place at, const uint8_t *key, size_t nkey,
                         uint8_t type);
AMresult *eng_delete(AMdoc *doc, const AMobjId *obj, eng_place at, const uint8_t *key, size_t nkey);
AMresult *eng_increment(AMdoc *doc, const AMobjId *obj, eng_place at, const uint8_t *key, size_t nkey,
                        int64_t by);
AMresult *eng_splice(AMdoc *doc, const AMobjId *obj, size_t pos, ptrdiff_t del, const uint8_t *text, size_t n);

// eng_value appends the whole document at the given heads (NULL: the current
// version) to out, in the stored form of doc.Value.
void eng_value(AMdoc *doc, const uint8_t *hashes, size_t n, int max_depth, eng_buf *out);
// eng_conflicts appends each place with more than one value: the number of
// steps, the steps, the number of values, and for each value, the winner
// first, its length and its stored form.
void eng_conflicts(AMdoc *doc, int max_depth, eng_buf *out);
// eng_heads appends the document's heads, 32 bytes each.
void eng_heads(AMdoc *doc, eng_buf *out);
// eng_changes appends, in causal order, the changes that the version of the
// given heads does not contain: hash, length, bytes.
void eng_changes(AMdoc *doc, const uint8_t *hashes, size_t n, eng_buf *out);
// eng_change appends one change in the same form, and nothing where the
// document does not have it.
void eng_change(AMdoc *doc, const uint8_t *hash, eng_buf *out);
// eng_has reports whether the document has a change.
bool eng_has(AMdoc *doc, const uint8_t *hash);

// eng_in_use returns the bytes which the C heap has handed out, and eng_trim
// gives free memory back to the system.
size_t eng_in_use(void);
void eng_trim(void);

#endif
