package control

// StateLocked is the state of a vault whose keys are not open.
const StateLocked = "locked"

// Protection tells what opens the vault's keys.
type Protection struct {
	Kind string `json:"kind"`           // passphrase, keyring or keyfile
	Path string `json:"path,omitempty"` // of the key file
}

// PassphraseChange sets another passphrase, or removes the one there is. Its
// byte strings are secrets.
type PassphraseChange struct {
	Current []byte `json:"current,omitempty"` // where there is one
	New     []byte `json:"new,omitempty"`     // to be set
	KeyFile string `json:"key_file"`          // that is to protect the keys instead; "" for the keyring or echofs's own
}

// LockRequest asks a daemon to unmount, to forget the keys, and to end.
type LockRequest struct {
	Force bool `json:"force"` // also what is in use
}

// LockReply tells that the keys are on their way out of memory: they are gone
// when the process is.
type LockReply struct {
	Unmounted []string `json:"unmounted"`
	PID       int      `json:"pid"`
}
