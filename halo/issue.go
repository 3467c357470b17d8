package halo

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"time"
)

// Issuer is who issues credentials: a device in the name of its identity.
type Issuer struct {
	Identity IdentityID
	Signer   Signer
}

// Device returns the id of the issuing device.
func (by Issuer) Device() DeviceID { return by.Signer.Public().ID() }

func (by Issuer) body(dag [32]byte, parents []CredentialID, now time.Time) bodyWire {
	device := by.Device()
	return bodyWire{DAG: dag, Parents: parents, Issuer: &by.Identity, Device: &device, IssuedAt: unix(now)}
}

func unix(t time.Time) uint64 { return uint64(max(t.Unix(), 0)) }

// NewIdentity returns the genesis of a new identity whose first device is
// primary. The identity's id is the credential's.
func NewIdentity(root *RootKeys, device Signer, now time.Time) (*Credential, error) {
	public := root.Public()
	p := &IDGenesis{RootSign: public.Sign, RootKEM: public.KEM, Device: device.Public()}
	if _, err := rand.Read(p.Nonce[:]); err != nil {
		return nil, fmt.Errorf("new identity: %w", err)
	}
	d, err := newDraft(bodyWire{IssuedAt: unix(now)}, p)
	if err != nil {
		return nil, fmt.Errorf("new identity: %w", err)
	}
	d.sign(SigSubject, p.Device.Sign, device.Sign)
	d.sign(SigRoot, public.Sign, root.Sign)
	return d.Finish()
}

// NewSpace returns the genesis of a new space, whose id is the credential's,
// and makes the issuer its owner. identity holds the credentials of the issuer.
// The key over which the space's public id is built is made and destroyed here.
func NewSpace(identity *Graph, by Issuer, history History, now time.Time) (*Credential, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("new space: %w", err)
	}
	defer clear(private)
	p := &SpaceGenesis{Owner: by.Identity, History: history, SpaceKey: [32]byte(public)}
	if _, err := rand.Read(p.Nonce[:]); err != nil {
		return nil, fmt.Errorf("new space: %w", err)
	}
	d, err := newDraft(by.body([32]byte{}, identity.IdentityHeads(by.Identity), now), p)
	if err != nil {
		return nil, fmt.Errorf("new space: %w", err)
	}
	d.sign(SigIssuer, by.Signer.Public().Sign, by.Signer.Sign)
	d.sign(SigCoSigner, p.SpaceKey, func(msg []byte) []byte { return ed25519.Sign(private, msg) })
	return d.Finish()
}

// Draft returns a credential with payload p that knows all of the graph (see
// AuthHeads), signed by the issuer. It fails with ErrNotAllowed where the
// issuer lacks the authority.
func (g *Graph) Draft(by Issuer, p Payload, now time.Time) (*Draft, error) {
	dag, parents := [32]byte(g.space), []CredentialID(nil)
	if p.Type().ofIdentity() {
		dag, parents = by.Identity, g.IdentityHeads(by.Identity)
	} else {
		parents = g.parentsFor(by.Identity, p)
	}
	d, err := newDraft(by.body(dag, parents, now), p)
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	view, err := g.StateAt(parents)
	if err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	if err := view.allows(d.view); err != nil {
		return nil, fmt.Errorf("issue: %w", err)
	}
	d.sign(SigIssuer, by.Signer.Public().Sign, by.Signer.Sign)
	return d, nil
}

// Issue returns a credential with payload p, as Draft does, finished. It does
// not add it to the graph. For a DeviceAdd use Draft, since the new device
// signs too.
func (g *Graph) Issue(by Issuer, p Payload, now time.Time) (*Credential, error) {
	d, err := g.Draft(by, p, now)
	if err != nil {
		return nil, err
	}
	return d.Finish()
}

// AddDevice issues the DeviceAdd of a device whose keys are at hand. Where they
// are not, see Draft and SignDraft.
func (g *Graph) AddDevice(by Issuer, device Signer, level Level, label []byte, now time.Time) (*Credential, error) {
	d, err := g.Draft(by, &DeviceAdd{Device: device.Public(), Level: level, Label: label}, now)
	if err != nil {
		return nil, err
	}
	sig, err := SignDraft(d, by.Identity, device)
	if err != nil {
		return nil, err
	}
	d.Attach(SigSubject, device.Public().Sign, sig)
	return d.Finish()
}

// IssueByRoot returns an IDCheckpoint or a RootRotate of an identity, signed by
// its root key. A rotation needs the successor's keys, nil otherwise.
func (g *Graph) IssueByRoot(root, successor *RootKeys, identity IdentityID, p Payload, now time.Time) (*Credential, error) {
	d, err := newDraft(bodyWire{DAG: identity, Parents: g.IdentityHeads(identity), IssuedAt: unix(now)}, p)
	if err != nil {
		return nil, fmt.Errorf("issue by root: %w", err)
	}
	d.sign(SigRoot, root.Public().Sign, root.Sign)
	if successor != nil {
		d.sign(SigSubject, successor.Public().Sign, successor.Sign)
	}
	c, err := d.Finish()
	if err != nil {
		return nil, fmt.Errorf("issue by root: %w", err)
	}
	view, err := g.StateAt(c.Parents)
	if err != nil {
		return nil, fmt.Errorf("issue by root: %w", err)
	}
	if err := view.allows(c); err != nil {
		return nil, fmt.Errorf("issue by root: %w", err)
	}
	return c, nil
}

// SetMember issues the role of an identity whose credentials are in the graph.
func (g *Graph) SetMember(by Issuer, identity IdentityID, role Role, now time.Time) (*Credential, error) {
	return g.Issue(by, &MemberSet{Identity: identity, Role: role}, now)
}

// RotateEpoch issues the beginning of an epoch with a fresh key, wrapped to all
// active devices. key returns the keys of the latest epochs, which the new one
// opens; it reports false for one that is not at hand, which fails with
// ErrUnknown.
func (g *Graph) RotateEpoch(by Issuer, why RotateWhy, key func(EpochID) (EpochKey, bool), now time.Time) (*Credential, EpochKey, error) {
	view, err := g.StateAt(g.AuthHeads(by.Identity))
	if err != nil {
		return nil, EpochKey{}, fmt.Errorf("rotate epoch: %w", err)
	}
	fresh, err := NewEpochKey()
	if err != nil {
		return nil, EpochKey{}, fmt.Errorf("rotate epoch: %w", err)
	}
	p, err := newRotate(view, fresh, why, key)
	if err != nil {
		return nil, EpochKey{}, fmt.Errorf("rotate epoch: %w", err)
	}
	c, err := g.Issue(by, p, now)
	return c, fresh, err
}

// GrantKey issues the key of an epoch to an active device of a member; to a
// relay's, the swarm secret of the epoch alone.
func (g *Graph) GrantKey(by Issuer, key EpochKey, to Device, now time.Time) (*Credential, error) {
	state := g.State()
	epoch := key.ID(g.space)
	swarm := !state.Role(to.Identity).Reads()
	wrapped, err := wrapFor(to.Public, g.space, epoch, key, swarm)
	if err != nil {
		return nil, fmt.Errorf("grant key: %w", err)
	}
	return g.Issue(by, &KeyGrant{Epoch: epoch, Key: wrapped, Swarm: swarm}, now)
}
