package halo

import "errors"

// The errors of the package. Each is wrapped with what was being done.
var (
	// ErrMalformed: bytes that no correct program writes.
	ErrMalformed = errors.New("malformed")
	// ErrTooLarge: a size or count beyond its limit.
	ErrTooLarge = errors.New("too large")
	// ErrBadID: a text that is no identifier of the kind asked for.
	ErrBadID = errors.New("malformed identifier")
	// ErrBadKey: a public key that is not acceptable.
	ErrBadKey = errors.New("unacceptable key")
	// ErrBadSignature: a signature that is missing, superfluous or wrong.
	ErrBadSignature = errors.New("bad signature")
	// ErrForeign: something of another space or identity.
	ErrForeign = errors.New("belongs to another space or identity")
	// ErrFull: a bounded collection has no room.
	ErrFull = errors.New("no room")
	// ErrUnknown: a credential, device or epoch that is not known here.
	ErrUnknown = errors.New("not known")
	// ErrNotAllowed: the author lacks the authority.
	ErrNotAllowed = errors.New("not allowed")
	// ErrDecrypt: a ciphertext that the key does not open.
	ErrDecrypt = errors.New("cannot decrypt")
	// ErrBadChain: an entry that does not continue its feed.
	ErrBadChain = errors.New("broken feed chain")
	// ErrBadCode: an invitation code that cannot be read.
	ErrBadCode = errors.New("malformed invitation code")
	// ErrKeystore: a keystore that cannot be opened: a wrong key and a damaged
	// file are the same error on purpose.
	ErrKeystore = errors.New("wrong key or damaged keystore")
)
