#include "am_shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

// The kinds of doc.Value, in its order; a test compares them with the Go side.
enum {
	K_NULL, K_BOOL, K_INT, K_UINT, K_FLOAT, K_STRING, K_TEXT, K_BYTES,
	K_COUNTER, K_TIMESTAMP, K_MAP, K_LIST, K_UNKNOWN
};

// span never holds a null pointer: the core makes a slice of it, and a slice
// without an address is undefined in Rust even when it is empty.
static AMbyteSpan span(const uint8_t *p, size_t n) {
	AMbyteSpan s = {n ? p : (const uint8_t *)"", n};
	return s;
}

// ---- output ----

static bool room(eng_buf *b, size_t n) {
	if (b->fail) return false;
	if (n > b->max - b->n) { b->fail = ENG_LARGE; return false; }
	if (b->n + n <= b->cap) return true;
	size_t cap = b->cap ? b->cap * 2 : 1024;
	while (cap < b->n + n) cap *= 2;
	uint8_t *p = realloc(b->p, cap);
	if (!p) { b->fail = ENG_MEMORY; return false; }
	b->p = p;
	b->cap = cap;
	return true;
}

static void out_byte(eng_buf *b, uint8_t c) {
	if (room(b, 1)) b->p[b->n++] = c;
}

static void out_bytes(eng_buf *b, const uint8_t *p, size_t n) {
	if (n && room(b, n)) { memcpy(b->p + b->n, p, n); b->n += n; }
}

static void out_uvarint(eng_buf *b, uint64_t v) {
	while (v >= 0x80) { out_byte(b, (uint8_t)v | 0x80); v >>= 7; }
	out_byte(b, (uint8_t)v);
}

static void out_varint(eng_buf *b, int64_t v) {
	out_uvarint(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

static void out_span(eng_buf *b, AMbyteSpan s) {
	out_uvarint(b, s.count);
	out_bytes(b, s.src, s.count);
}

// ok reports whether a result is no error; an error is recorded in b.
static bool ok(eng_buf *b, AMresult *r) {
	if (AMresultStatus(r) == 0) return !b->fail;
	if (!b->fail) {
		AMbyteSpan s = AMresultError(r);
		b->fail = ENG_CORE;
		snprintf(b->why, sizeof b->why, "%.*s", (int)(s.count < 150 ? s.count : 150), (const char *)s.src);
	}
	return false;
}

// ---- values ----

// walk is what the walk over a document carries.
typedef struct walk {
	const AMdoc *doc;
	const AMitems *heads;
	eng_buf *out;
	int max_depth;
} walk;

static void out_object(walk *w, const AMobjId *obj, uint8_t type, int depth);

static void out_item(walk *w, AMitem *item, int depth) {
	eng_buf *b = w->out;
	AMbyteSpan s = {0};
	AMunknownValue unknown = {{0}, 0};
	int64_t i = 0;
	uint64_t u = 0;
	double f = 0;
	bool t = false;
	if (depth <= 0 && !b->fail) b->fail = ENG_DEEP;
	switch (AMitemValType(item)) {
	case AM_VAL_BOOL:
		AMitemToBool(item, &t); out_byte(b, K_BOOL); out_byte(b, t);
		return;
	case AM_VAL_INT:
		AMitemToInt(item, &i); out_byte(b, K_INT); out_varint(b, i);
		return;
	case AM_VAL_UINT:
		AMitemToUint(item, &u); out_byte(b, K_UINT); out_uvarint(b, u);
		return;
	case AM_VAL_COUNTER:
		AMitemToCounter(item, &i); out_byte(b, K_COUNTER); out_varint(b, i);
		return;
	case AM_VAL_TIMESTAMP:
		AMitemToTimestamp(item, &i); out_byte(b, K_TIMESTAMP); out_varint(b, i);
		return;
	case AM_VAL_F64:
		AMitemToF64(item, &f); memcpy(&u, &f, 8); out_byte(b, K_FLOAT);
		for (int k = 0; k < 64; k += 8) out_byte(b, (uint8_t)(u >> k));
		return;
	case AM_VAL_STR:
		AMitemToStr(item, &s); out_byte(b, K_STRING); out_span(b, s);
		return;
	case AM_VAL_BYTES:
		AMitemToBytes(item, &s); out_byte(b, K_BYTES); out_span(b, s);
		return;
	case AM_VAL_UNKNOWN:
		AMitemToUnknown(item, &unknown); out_byte(b, K_UNKNOWN);
		out_uvarint(b, unknown.bytes.count + 1); out_byte(b, unknown.type_code);
		out_bytes(b, unknown.bytes.src, unknown.bytes.count);
		return;
	case AM_VAL_OBJ:
		out_object(w, AMitemObjId(item), AMobjObjType(w->doc, AMitemObjId(item)), depth);
		return;
	default:
		out_byte(b, K_NULL);
	}
}

static void out_text(walk *w, const AMobjId *obj) {
	AMresult *r = AMtext(w->doc, obj, w->heads);
	AMbyteSpan s = {0};
	if (ok(w->out, r)) {
		AMitemToStr(AMresultItem(r), &s);
		out_byte(w->out, K_TEXT);
		out_span(w->out, s);
	}
	AMresultFree(r);
}

static AMresult *children(walk *w, const AMobjId *obj, bool map) {
	AMbyteSpan all = {0};
	return map ? AMmapRange(w->doc, obj, all, all, w->heads)
	           : AMlistRange(w->doc, obj, 0, SIZE_MAX, w->heads);
}

static void out_object(walk *w, const AMobjId *obj, uint8_t type, int depth) {
	eng_buf *b = w->out;
	if (b->fail) return;
	if (type == AM_OBJ_TEXT) { out_text(w, obj); return; }
	bool map = type != AM_OBJ_LIST;
	AMresult *r = children(w, obj, map);
	if (ok(b, r)) {
		AMitems items = AMresultItems(r);
		out_byte(b, map ? K_MAP : K_LIST);
		out_uvarint(b, AMitemsSize(&items));
		for (AMitem *it; (it = AMitemsNext(&items, 1)) && !b->fail;) {
			AMbyteSpan key = {0};
			if (map) { AMitemKey(it, &key); out_span(b, key); }
			out_item(w, it, depth - 1);
		}
	}
	AMresultFree(r);
}

AMresult *eng_hashes(const uint8_t *hashes, size_t n) {
	AMresult *all = AMitemFromChangeHash(span(hashes, 32));
	for (size_t i = 1; i < n && AMresultStatus(all) == 0; i++) {
		AMresult *one = AMitemFromChangeHash(span(hashes + 32 * i, 32));
		AMresult *both = AMresultCat(all, one);
		AMresultFree(all);
		AMresultFree(one);
		all = both;
	}
	return all;
}

void eng_value(AMdoc *doc, const uint8_t *hashes, size_t n, int max_depth, eng_buf *out) {
	out_byte(out, ENG_VALUE_VERSION);
	walk w = {doc, NULL, out, max_depth};
	if (!n) { out_object(&w, NULL, AM_OBJ_MAP, max_depth); return; }
	AMresult *r = eng_hashes(hashes, n);
	if (ok(out, r)) {
		AMitems heads = AMresultItems(r);
		w.heads = &heads;
		out_object(&w, NULL, AM_OBJ_MAP, max_depth);
	}
	AMresultFree(r);
}

// ---- conflicts ----

// step is one element of the path to a conflict; the steps are linked through
// the stack of the recursion.
typedef struct step {
	const struct step *up;
	bool is_key;
	AMbyteSpan key;
	size_t pos;
	int depth;
} step;

static void out_path(eng_buf *b, const step *s) {
	if (!s) return;
	out_path(b, s->up);
	out_byte(b, !s->is_key);
	if (s->is_key) out_span(b, s->key);
	else out_uvarint(b, s->pos);
}

// out_whole writes a value of its own: length, version, node.
static void out_whole(walk *w, AMitem *item) {
	eng_buf one = {.max = w->out->max};
	walk inner = {w->doc, w->heads, &one, w->max_depth};
	out_byte(&one, ENG_VALUE_VERSION);
	out_item(&inner, item, w->max_depth);
	if (one.fail && !w->out->fail) {
		w->out->fail = one.fail;
		memcpy(w->out->why, one.why, sizeof one.why);
	}
	AMbyteSpan s = {one.p, one.n};
	out_span(w->out, s);
	free(one.p);
}

// out_conflict writes one place if it has several values. The core lists them
// by ascending operation, so the winner is the last.
static void out_conflict(walk *w, const AMobjId *obj, const step *s) {
	AMresult *r = s->is_key ? AMmapGetAll(w->doc, obj, s->key, NULL)
	                        : AMlistGetAll(w->doc, obj, s->pos, NULL);
	size_t n = ok(w->out, r) ? AMresultSize(r) : 0;
	if (n > 1) {
		out_uvarint(w->out, s->depth);
		out_path(w->out, s);
		out_uvarint(w->out, n);
		AMitem **list = calloc(n, sizeof *list);
		if (!list) w->out->fail = ENG_MEMORY;
		AMitems items = AMresultItems(r);
		for (size_t i = 0; list && i < n; i++) list[i] = AMitemsNext(&items, 1);
		for (size_t i = n; list && i > 0; i--) out_whole(w, list[i - 1]);
		free(list);
	}
	AMresultFree(r);
}

static void walk_conflicts(walk *w, const AMobjId *obj, uint8_t type, const step *up, int depth) {
	eng_buf *b = w->out;
	if (depth <= 0 && !b->fail) b->fail = ENG_DEEP;
	if (type == AM_OBJ_TEXT || b->fail) return;
	step s = {up, type != AM_OBJ_LIST, {0}, 0, up ? up->depth + 1 : 1};
	AMresult *r = children(w, obj, s.is_key);
	if (ok(b, r)) {
		AMitems items = AMresultItems(r);
		for (AMitem *it; (it = AMitemsNext(&items, 1)) && !b->fail; s.pos++) {
			if (s.is_key) AMitemKey(it, &s.key);
			out_conflict(w, obj, &s);
			if (AMitemValType(it) == AM_VAL_OBJ)
				walk_conflicts(w, AMitemObjId(it), AMobjObjType(w->doc, AMitemObjId(it)), &s, depth - 1);
		}
	}
	AMresultFree(r);
}

void eng_conflicts(AMdoc *doc, int max_depth, eng_buf *out) {
	walk w = {doc, NULL, out, max_depth};
	walk_conflicts(&w, NULL, AM_OBJ_MAP, NULL, max_depth);
}

// ---- changes and heads ----

void eng_heads(AMdoc *doc, eng_buf *out) {
	AMresult *r = AMgetHeads(doc);
	if (ok(out, r)) {
		AMitems items = AMresultItems(r);
		AMbyteSpan s;
		for (AMitem *it; (it = AMitemsNext(&items, 1));)
			if (AMitemToChangeHash(it, &s)) out_bytes(out, s.src, s.count);
	}
	AMresultFree(r);
}

static void out_changes(eng_buf *out, AMresult *r) {
	if (ok(out, r)) {
		AMitems items = AMresultItems(r);
		AMchange *c;
		for (AMitem *it; (it = AMitemsNext(&items, 1)) && !out->fail;) {
			if (AMitemValType(it) != AM_VAL_CHANGE || !AMitemToChange(it, &c)) continue;
			AMbyteSpan hash = AMchangeHash(c);
			out_bytes(out, hash.src, hash.count);
			out_span(out, AMchangeRawBytes(c));
		}
	}
	AMresultFree(r);
}

void eng_changes(AMdoc *doc, const uint8_t *hashes, size_t n, eng_buf *out) {
	if (!n) { out_changes(out, AMgetChanges(doc, NULL)); return; }
	AMresult *r = eng_hashes(hashes, n);
	if (ok(out, r)) {
		AMitems heads = AMresultItems(r);
		out_changes(out, AMgetChanges(doc, &heads));
	}
	AMresultFree(r);
}

void eng_change(AMdoc *doc, const uint8_t *hash, eng_buf *out) {
	out_changes(out, AMgetChangeByHash(doc, hash, 32));
}

bool eng_has(AMdoc *doc, const uint8_t *hash) {
	AMresult *r = AMgetChangeByHash(doc, hash, 32);
	bool has = AMresultStatus(r) == 0 && AMresultSize(r) > 0 &&
	           AMitemValType(AMresultItem(r)) == AM_VAL_CHANGE;
	AMresultFree(r);
	return has;
}

AMresult *eng_fork(AMdoc *doc, const uint8_t *hashes, size_t n) {
	AMresult *r = eng_hashes(hashes, n);
	if (AMresultStatus(r) != 0) return r;
	AMitems heads = AMresultItems(r);
	AMresult *fork = AMfork(doc, &heads);
	AMresultFree(r);
	return fork;
}

AMresult *eng_set_actor(AMdoc *doc, const uint8_t *actor, size_t n) {
	AMresult *r = AMactorIdFromBytes(actor, n);
	const AMactorId *id = NULL;
	if (AMresultStatus(r) != 0 || !AMitemToActorId(AMresultItem(r), &id)) return r;
	AMresult *set = AMsetActorId(doc, id);
	AMresultFree(r);
	return set;
}

AMresult *eng_commit(AMdoc *doc, const uint8_t *message, size_t n, int64_t seconds) {
	AMbyteSpan none = {0};
	return AMcommit(doc, n ? span(message, n) : none, &seconds);
}

// ---- edits ----

AMresult *eng_get(AMdoc *doc, const AMobjId *obj, eng_place at, const uint8_t *key, size_t nkey) {
	return at.in_list ? AMlistGet(doc, obj, at.pos, NULL) : AMmapGet(doc, obj, span(key, nkey), NULL);
}

static AMresult *list_put(AMdoc *d, const AMobjId *o, eng_place at, const eng_scalar *v, AMbyteSpan s) {
	switch (v->kind) {
	case K_BOOL: return AMlistPutBool(d, o, at.pos, at.insert, v->i != 0);
	case K_INT: return AMlistPutInt(d, o, at.pos, at.insert, v->i);
	case K_UINT: return AMlistPutUint(d, o, at.pos, at.insert, v->u);
	case K_FLOAT: return AMlistPutF64(d, o, at.pos, at.insert, v->f);
	case K_STRING: return AMlistPutStr(d, o, at.pos, at.insert, s);
	case K_BYTES: return AMlistPutBytes(d, o, at.pos, at.insert, s);
	case K_COUNTER: return AMlistPutCounter(d, o, at.pos, at.insert, v->i);
	case K_TIMESTAMP: return AMlistPutTimestamp(d, o, at.pos, at.insert, v->i);
	}
	return AMlistPutNull(d, o, at.pos, at.insert);
}

static AMresult *map_put(AMdoc *d, const AMobjId *o, AMbyteSpan key, const eng_scalar *v, AMbyteSpan s) {
	switch (v->kind) {
	case K_BOOL: return AMmapPutBool(d, o, key, v->i != 0);
	case K_INT: return AMmapPutInt(d, o, key, v->i);
	case K_UINT: return AMmapPutUint(d, o, key, v->u);
	case K_FLOAT: return AMmapPutF64(d, o, key, v->f);
	case K_STRING: return AMmapPutStr(d, o, key, s);
	case K_BYTES: return AMmapPutBytes(d, o, key, s);
	case K_COUNTER: return AMmapPutCounter(d, o, key, v->i);
	case K_TIMESTAMP: return AMmapPutTimestamp(d, o, key, v->i);
	}
	return AMmapPutNull(d, o, key);
}

AMresult *eng_put(AMdoc *doc, const AMobjId *obj, eng_place at, const uint8_t *key, size_t nkey,
                  const eng_scalar *v, const uint8_t *bytes, size_t nbytes) {
	AMbyteSpan s = span(bytes, nbytes);
	return at.in_list ? list_put(doc, obj, at, v, s) : map_put(doc, obj, span(key, nkey), v, s);
}

AMresult *eng_put_object(AMdoc *doc, const AMobjId *obj, eng_place at, const uint8_t *key, size_t nkey,
                         uint8_t type) {
	return at.in_list ? AMlistPutObject(doc, obj, at.pos, at.insert, type)
	                  : AMmapPutObject(doc, obj, span(key, nkey), type);
}

AMresult *eng_delete(AMdoc *doc, const AMobjId *obj, eng_place at, const uint8_t *key, size_t nkey) {
	return at.in_list ? AMlistDelete(doc, obj, at.pos) : AMmapDelete(doc, obj, span(key, nkey));
}

AMresult *eng_increment(AMdoc *doc, const AMobjId *obj, eng_place at, const uint8_t *key, size_t nkey,
                        int64_t by) {
	return at.in_list ? AMlistIncrement(doc, obj, at.pos, by)
	                  : AMmapIncrement(doc, obj, span(key, nkey), by);
}

AMresult *eng_splice(AMdoc *doc, const AMobjId *obj, size_t pos, ptrdiff_t del, const uint8_t *text, size_t n) {
	return AMspliceText(doc, obj, pos, del, span(text, n));
}

// ---- memory ----

size_t eng_in_use(void) {
#ifdef __GLIBC__
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
#else
	return 0;
#endif
}

void eng_trim(void) {
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
