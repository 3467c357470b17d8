package halo

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// Recovery: who has the phrase and no device begins again with a new one. The
// word of the root is an IDCheckpoint, which names the devices that the identity
// has from then on; nothing that a device says outweighs it (resolve.go).
//
// To issue one, the credentials of the identity are needed, which are not in the
// phrase: whoever still has them gives them, a device of the identity or a
// member of a space with it. The first checkpoint of a recovery adds the new
// device to those that are active, so that it is granted keys and gets what they
// have, as any new device does. When that has come, the second one lets the
// others go: what a revoked device wrote counts up to where it came to whoever
// revokes it, and a new device that has nothing yet would let everything go.
//
// A helper learns nothing by which it could act for the identity. It takes a
// checkpoint for what it is worth: signed by the root that it knows, and of the
// generation after the last one.

// Reclaim asks for the credentials of an identity by the word of its root.
type Reclaim struct {
	Root      [32]byte     `cbor:"1,keyasint"` // its public key, of signatures
	Device    DevicePublic `cbor:"2,keyasint"` // the new device
	RootProof [64]byte     `cbor:"3,keyasint"` // by the root
	Proof     [64]byte     `cbor:"4,keyasint"` // by the new device
	Name      string       `cbor:"5,keyasint"` // of the new device
}

// Reclaimed is the checkpoint by which the new device is one of the identity.
type Reclaimed struct {
	Checkpoint []byte `cbor:"1,keyasint"`
}

func (*Reclaim) number() uint64   { return 16 }
func (*Reclaimed) number() uint64 { return 17 }

func (m *Reclaim) check() error {
	return checkAll(CheckSignKey(m.Root[:]), m.Device.Check(), checkName("device name", m.Name))
}

func (m *Reclaimed) check() error {
	if len(m.Checkpoint) > MaxCredentialSize {
		return malformed("checkpoint of %d bytes", len(m.Checkpoint))
	}
	return nil
}

// reclaimMessage is what both sign: that this device, in this very session,
// answers this offer in the name of this root.
func (m *Reclaim) message(challenge [32]byte, handshake []byte, space SpaceID) []byte {
	device := m.Device.ID()
	return labelled("reclaim", challenge[:], handshake, space[:], m.Root[:], device[:])
}

// NewReclaim returns the answer to an offer in the name of a root.
func NewReclaim(root *RootKeys, device Signer, name string, challenge [32]byte, handshake []byte, space SpaceID) *Reclaim {
	m := &Reclaim{Root: root.Public().Sign, Device: device.Public(), Name: name}
	msg := m.message(challenge, handshake, space)
	m.RootProof, m.Proof = signature64(root.Sign(msg)), signature64(device.Sign(msg))
	return m
}

// Verify checks that the root and the new device are in this session. It fails
// with ErrBadSignature.
func (m *Reclaim) Verify(challenge [32]byte, handshake []byte, space SpaceID) error {
	msg := m.message(challenge, handshake, space)
	if err := verifyLabelled(m.Root, m.RootProof, msg, "root of a recovery"); err != nil {
		return err
	}
	return verifyLabelled(m.Device.Sign, m.Proof, msg, "device of a recovery")
}

// IdentityOfRoot returns the identity with a root key, if there is exactly one.
func (s *State) IdentityOfRoot(root [32]byte) (id IdentityID, ok bool) {
	for other, i := range s.identities {
		if i.root == nil || i.root.Sign != root {
			continue
		}
		if ok {
			return IdentityID{}, false
		}
		id, ok = other, true
	}
	return id, ok
}

// CheckReclaimed reads the checkpoint of a Reclaimed: one by the root, of the
// identity, that has the new device. That it counts shows in the graph to which
// it is added. It fails with ErrForeign, and as ParseCredential does.
func (m *Reclaimed) CheckReclaimed(identity IdentityID, root [32]byte, device DeviceID) (*Credential, error) {
	c, err := ParseCredential(m.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("checkpoint of a recovery: %w", err)
	}
	p, ok := c.Payload.(*IDCheckpoint)
	if !ok || c.DAG != identity || c.key(SigRoot) != root ||
		!slices.ContainsFunc(p.Devices, func(d CheckpointDevice) bool { return d.Device.ID() == device }) {
		return nil, fmt.Errorf("checkpoint of a recovery: of something else: %w", ErrForeign)
	}
	return c, nil
}

// CheckpointOf returns the next checkpoint of an identity by its root: the device
// self is primary, and of the others those stay for which stays returns a level.
// Of more than there may be, those with the lowest ids stay.
func (g *Graph) CheckpointOf(root *RootKeys, identity IdentityID, self DevicePublic, stays func(Device) Level, now time.Time) (*Credential, error) {
	view, err := g.StateAt(g.IdentityHeads(identity))
	if err != nil {
		return nil, fmt.Errorf("identity checkpoint: %w", err)
	}
	p := &IDCheckpoint{Gen: 1, Devices: []CheckpointDevice{{Device: self, Level: LevelPrimary}}, Revoked: []DeviceID{}}
	for _, gen := range view.Checkpoints(identity) {
		p.Gen = gen + 1
	}
	for _, d := range view.Devices(identity) {
		if d.ID == self.ID() {
			continue
		}
		if level := stays(d); level != LevelNone && len(p.Devices) < MaxDevicesPerIdentity {
			p.Devices = append(p.Devices, CheckpointDevice{Device: d.Public, Level: level})
		} else if len(p.Revoked) < maxRevoked {
			p.Revoked = append(p.Revoked, d.ID)
		}
	}
	slices.SortFunc(p.Devices, func(a, b CheckpointDevice) int {
		x, y := a.Device.ID(), b.Device.ID()
		return bytes.Compare(x[:], y[:])
	})
	return g.IssueByRoot(root, nil, identity, p, now)
}

// maxRevoked is how many devices a checkpoint names as revoked. It is for people
// to read: what counts is which ones it has.
const maxRevoked = 256

// Past is a part of the credentials of an identity, parents first.
type Past struct {
	Credentials [][]byte `cbor:"1,keyasint"`
	More        bool     `cbor:"2,keyasint"`
}

func (*Past) number() uint64 { return 18 }

func (m *Past) check() error {
	if len(m.Credentials) > maxElements || len(m.Credentials) == 0 {
		return malformed("%d credentials of an identity", len(m.Credentials))
	}
	return nil
}

// PastOf splits the credentials of an identity into messages.
func PastOf(list []*Credential) []*Past {
	var out []*Past
	for _, b := range Bundles(SpaceID{}, list) {
		out = append(out, &Past{Credentials: b.Credentials, More: true})
	}
	if len(out) > 0 {
		out[len(out)-1].More = false
	}
	return out
}
