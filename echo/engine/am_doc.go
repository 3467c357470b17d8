package engine

/*
#cgo CFLAGS: -O2 -Wall -Werror
#include <stdlib.h>
#include "am_shim.h"
*/
import "C"

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	_ "github.com/automerge/automerge-go" // links the core

	"echofs/echo/doc"
)

// maxOutput bounds what the core may hand out at once, as the pipe does.
const maxOutput = doc.MaxEncoded

// coreDoc is one document of the core. It is used by one goroutine at a time
// and must be freed; nothing of it is known to the garbage collector.
type coreDoc struct {
	res *C.AMresult // owns doc
	doc *C.AMdoc
}

// newCoreDoc returns an empty document.
func newCoreDoc() (*coreDoc, error) { return takeDoc(C.AMcreate(nil)) }

// loadCoreDoc loads a saved document, or changes, or both one after another.
func loadCoreDoc(chunks []byte) (*coreDoc, error) {
	if len(chunks) == 0 {
		return newCoreDoc()
	}
	d, err := takeDoc(C.AMload(bytesPtr(chunks), C.size_t(len(chunks))))
	runtime.KeepAlive(chunks)
	return d, err
}

// takeDoc turns a result into the document in it.
func takeDoc(r *C.AMresult) (*coreDoc, error) {
	if err := check(r); err != nil {
		C.AMresultFree(r)
		return nil, err
	}
	d := &coreDoc{res: r}
	if item := C.AMresultItem(r); item == nil || !bool(C.AMitemToDoc(item, &d.doc)) {
		C.AMresultFree(r)
		return nil, errors.New("the core returned no document")
	}
	return d, nil
}

func (d *coreDoc) free() {
	if d.res != nil {
		C.AMresultFree(d.res)
		d.res, d.doc = nil, nil
	}
}

// check returns the error in a result, which stays the caller's to free.
func check(r *C.AMresult) error {
	if C.AMresultStatus(r) == 0 {
		return nil
	}
	return errors.New(goString(C.AMresultError(r)))
}

// done frees a result and returns the error that was in it.
func done(r *C.AMresult) error {
	err := check(r)
	C.AMresultFree(r)
	return err
}

func goString(s C.AMbyteSpan) string {
	return string(unsafe.Slice((*byte)(s.src), int(s.count)))
}

// bytesPtr returns the address of b's bytes, or of a byte that is not read
// where b is empty: the core must not see a null pointer.
func bytesPtr(b []byte) *C.uint8_t {
	if len(b) == 0 {
		return &noBytes
	}
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b)))
}

func stringPtr(s string) *C.uint8_t {
	if s == "" {
		return &noBytes
	}
	return (*C.uint8_t)(unsafe.Pointer(unsafe.StringData(s)))
}

var noBytes C.uint8_t

// apply adds chunks of changes. That it succeeds says little: the core skips
// bytes it cannot read and queues changes whose dependencies it lacks. Callers
// ask has afterwards.
func (d *coreDoc) apply(chunks []byte) error {
	if len(chunks) == 0 {
		return nil
	}
	err := done(C.AMloadIncremental(d.doc, bytesPtr(chunks), C.size_t(len(chunks))))
	runtime.KeepAlive(chunks)
	return err
}

// fork returns a new document that holds the version at heads. An unknown
// change among heads is an error.
func (d *coreDoc) fork(heads doc.Heads) (*coreDoc, error) {
	if len(heads) == 0 {
		return newCoreDoc()
	}
	flat := flatHeads(heads)
	f, err := takeDoc(C.eng_fork(d.doc, bytesPtr(flat), C.size_t(len(heads))))
	runtime.KeepAlive(flat)
	return f, err
}

// clone returns a copy of the document, with all that it holds.
func (d *coreDoc) clone() (*coreDoc, error) { return takeDoc(C.AMclone(d.doc)) }

func flatHeads(heads doc.Heads) []byte {
	flat := make([]byte, 0, len(heads)*len(doc.ChangeHash{}))
	for _, h := range heads {
		flat = append(flat, h[:]...)
	}
	return flat
}

func (d *coreDoc) setActor(actor doc.ActorID) error {
	return done(C.eng_set_actor(d.doc, bytesPtr(actor[:]), C.size_t(len(actor))))
}

// commit makes one change of the edits since the last one, and returns false
// where there were none. Its time is in seconds, as the format wants it.
func (d *coreDoc) commit(message string, seconds int64) (doc.ChangeHash, bool, error) {
	var hash doc.ChangeHash
	r := C.eng_commit(d.doc, stringPtr(message), C.size_t(len(message)), C.int64_t(seconds))
	runtime.KeepAlive(message)
	defer C.AMresultFree(r)
	if err := check(r); err != nil {
		return hash, false, err
	}
	var span C.AMbyteSpan
	item := C.AMresultItem(r)
	if item == nil || !bool(C.AMitemToChangeHash(item, &span)) {
		return hash, false, nil
	}
	copy(hash[:], unsafe.Slice((*byte)(span.src), int(span.count)))
	return hash, true, nil
}

// has reports whether a change is part of the document (not merely queued).
func (d *coreDoc) has(hash doc.ChangeHash) bool {
	return bool(C.eng_has(d.doc, bytesPtr(hash[:])))
}

// save returns the whole document as one chunk.
func (d *coreDoc) save() ([]byte, error) {
	r := C.AMsave(d.doc)
	defer C.AMresultFree(r)
	if err := check(r); err != nil {
		return nil, err
	}
	var span C.AMbyteSpan
	if !bool(C.AMitemToBytes(C.AMresultItem(r), &span)) {
		return nil, errors.New("the core returned no bytes")
	}
	return slices.Clone(unsafe.Slice((*byte)(span.src), int(span.count))), nil
}

func (d *coreDoc) heads() (doc.Heads, error) {
	flat, err := collect(nil, func(out *C.eng_buf) { C.eng_heads(d.doc, out) })
	if err != nil {
		return nil, err
	}
	hashes := make([]doc.ChangeHash, len(flat)/len(doc.ChangeHash{}))
	for i := range hashes {
		copy(hashes[i][:], flat[i*len(hashes[i]):])
	}
	return doc.NewHeads(hashes...), nil
}

// appendValue appends the whole document in the stored form of doc.Value; nil
// heads are the current version.
func (d *coreDoc) appendValue(b []byte, heads doc.Heads) ([]byte, error) {
	flat := flatHeads(heads)
	return collect(b, func(out *C.eng_buf) {
		C.eng_value(d.doc, bytesPtr(flat), C.size_t(len(heads)), doc.MaxDepth, out)
	})
}

// appendConflicts appends the places with several values; see decodeConflicts.
func (d *coreDoc) appendConflicts(b []byte) ([]byte, error) {
	return collect(b, func(out *C.eng_buf) { C.eng_conflicts(d.doc, doc.MaxDepth, out) })
}

// appendChanges appends, in causal order, all changes that a version does not
// contain; see decodeChanges.
func (d *coreDoc) appendChanges(b []byte, since doc.Heads) ([]byte, error) {
	flat := flatHeads(since)
	return collect(b, func(out *C.eng_buf) { C.eng_changes(d.doc, bytesPtr(flat), C.size_t(len(since)), out) })
}

// change returns the chunk of one change.
func (d *coreDoc) change(hash doc.ChangeHash) ([]byte, error) {
	raw, err := collect(nil, func(out *C.eng_buf) { C.eng_change(d.doc, bytesPtr(hash[:]), out) })
	if err != nil {
		return nil, err
	}
	if len(raw) <= len(hash) {
		return nil, fmt.Errorf("the core has no change %s", hash)
	}
	n, w := binary.Uvarint(raw[len(hash):])
	if w <= 0 || uint64(len(raw)-len(hash)-w) != n {
		return nil, fmt.Errorf("the core returned several changes for %s", hash)
	}
	return raw[len(hash)+w:], nil
}

// collect runs a function that writes into a C buffer and appends what it
// wrote to b.
func collect(b []byte, f func(*C.eng_buf)) ([]byte, error) {
	var out C.eng_buf
	out.max = maxOutput
	f(&out)
	defer C.free(unsafe.Pointer(out.p))
	switch out.fail {
	case C.ENG_OK:
		return append(b, unsafe.Slice((*byte)(out.p), int(out.n))...), nil
	case C.ENG_DEEP:
		return nil, fmt.Errorf("it nests deeper than %d: %w", doc.MaxDepth, ErrLimit)
	case C.ENG_LARGE:
		return nil, fmt.Errorf("it is larger than %d bytes: %w", maxOutput, ErrLimit)
	case C.ENG_CORE:
		return nil, errors.New(C.GoString(&out.why[0]))
	}
	return nil, errors.New("out of memory")
}

// heapInUse returns how many bytes the core's allocator has handed out.
func heapInUse() int64 { return int64(C.eng_in_use()) }

// trimHeap gives the free memory of the core's allocator back to the system.
func trimHeap() { C.eng_trim() }
