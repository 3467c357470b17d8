package halo

// Limits that every replica must share: they decide what is valid. To change
// one is to change the version of the protocol.
const (
	MaxMembers            = 64        // members of a space
	MaxDevicesPerIdentity = 8         // devices of one identity that are not revoked
	MaxDevices            = 256       // devices of all members of a space
	MaxParents            = 16        // parents of a credential, auth heads of an entry
	MaxCredentialSize     = 16 << 10  // bytes of a credential with its signatures
	MaxRotateSize         = 512 << 10 // the same for an EpochRotate
	MaxCredentials        = 50_000    // credentials of a graph
	MaxChanges            = 256       // changes in a Data entry, imported ones included
	MaxPlain              = 1 << 20   // bytes of an entry's plaintext
	MaxBranches           = 1 << 16   // actors a feed may own in one document
)

// Limits of what a reader keeps or accepts, which others may set otherwise.
const (
	MaxPending     = 1024         // credentials that wait for parents, per graph
	MaxMessageSize = 1<<20 - 1024 // bytes of an invitation message, with room for a frame
)
