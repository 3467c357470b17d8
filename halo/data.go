package halo

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/text/unicode/norm"
)

const maxAppName = 128 // bytes

// Change is one Automerge change in a Data entry, made by the feed's device.
type Change struct {
	_      struct{} `cbor:",toarray"`
	Doc    [16]byte
	Bytes  []byte // one Automerge chunk
	Branch uint64 // the actor is Actor(feed, Doc, Branch); below MaxBranches
}

// Import is a document that was made elsewhere, with the actors it came with.
// Its id commits to its changes, so that these actors meet no others.
type Import struct {
	_       struct{} `cbor:",toarray"`
	Doc     [16]byte // ImportedDocumentID(Nonce, Changes)
	Nonce   [16]byte
	Changes [][]byte // in causal order
}

// Data is the plaintext of a Data entry: one save, or several.
type Data struct {
	Changes []Change   `cbor:"1,keyasint"` // in causal order
	App     string     `cbor:"2,keyasint,omitempty"`
	Blobs   [][32]byte `cbor:"3,keyasint,omitempty"` // blobs that the changes name
	Imports []Import   `cbor:"4,keyasint,omitempty"` // before Changes
}

// ImportedDocumentID returns the id of an imported document: 16 bytes of the
// hash in the form of a name-based UUID, since other ECHO software accepts only
// UUIDs as document ids.
func ImportedDocumentID(nonce [16]byte, changes [][]byte) [16]byte {
	parts := [][]byte{nonce[:]}
	for _, c := range changes {
		sum := sha256.Sum256(c)
		parts = append(parts, sum[:])
	}
	sum := hashOf("import", parts...)
	id := [16]byte(sum[:16])
	id[6] = id[6]&0x0f | 0x50 // version
	id[8] = id[8]&0x3f | 0x80 // variant
	return id
}

// NewImport returns the import of a document's changes. nonce must be random.
func NewImport(nonce [16]byte, changes [][]byte) Import {
	return Import{Doc: ImportedDocumentID(nonce, changes), Nonce: nonce, Changes: changes}
}

// Encode returns the plaintext. It fails with ErrTooLarge or ErrMalformed.
func (d Data) Encode() ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("encode data: %w", err)
	}
	plain, err := encode(d)
	if err == nil && len(plain) > MaxPlain {
		err = fmt.Errorf("encode data of %d bytes: %w", len(plain), ErrTooLarge)
	}
	return plain, err
}

// DecodeData reads the plaintext of a Data entry strictly. It fails with
// ErrTooLarge or ErrMalformed.
func DecodeData(plain []byte) (Data, error) {
	var d Data
	if err := decode(plain, &d, MaxPlain); err != nil {
		return Data{}, err
	}
	if err := d.check(); err != nil {
		return Data{}, fmt.Errorf("decode data: %w", err)
	}
	return d, nil
}

func (d Data) check() error {
	count := len(d.Changes)
	for _, c := range d.Changes {
		if len(c.Bytes) == 0 || c.Branch >= MaxBranches {
			return malformed("change of %d bytes on branch %d", len(c.Bytes), c.Branch)
		}
	}
	for _, i := range d.Imports {
		if len(i.Changes) == 0 || slices.ContainsFunc(i.Changes, func(c []byte) bool { return len(c) == 0 }) {
			return malformed("import of no changes, or of an empty one")
		}
		if i.Doc != ImportedDocumentID(i.Nonce, i.Changes) {
			return malformed("import under an id that is not its own")
		}
		count += len(i.Changes)
	}
	if count == 0 {
		return malformed("no changes")
	}
	if count > MaxChanges {
		return fmt.Errorf("%d changes: %w", count, ErrTooLarge)
	}
	if len(d.Blobs) > maxElements {
		return fmt.Errorf("%d blobs: %w", len(d.Blobs), ErrTooLarge)
	}
	return checkApp(d.App)
}

func checkApp(app string) error {
	if len(app) > maxAppName || !norm.NFC.IsNormalString(app) {
		return malformed("application name of %d bytes", len(app))
	}
	return nil
}

// Adopt is the plaintext of an Adopt entry: entries that a cut left out and
// that count again.
type Adopt struct {
	Entries []EntryID `cbor:"1,keyasint"`
}

// Encode returns the plaintext. It fails with ErrMalformed.
func (a Adopt) Encode() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	return encode(a)
}

// DecodeAdopt reads the plaintext of an Adopt entry strictly. It fails with
// ErrMalformed.
func DecodeAdopt(plain []byte) (Adopt, error) {
	var a Adopt
	if err := decode(plain, &a, MaxPlain); err != nil {
		return Adopt{}, err
	}
	return a, a.check()
}

func (a Adopt) check() error {
	if len(a.Entries) == 0 || len(a.Entries) > maxElements || !sortedBy(a.Entries, func(e EntryID) []byte { return e[:] }) {
		return malformed("adoption of no entries, or not sorted")
	}
	return nil
}
