package halo

import "time"

// Force issues a credential without asking whether the issuer may.
func Force(g *Graph, by Issuer, parents []CredentialID, p Payload, now time.Time) (*Credential, error) {
	dag := [32]byte(g.space)
	if p.Type().ofIdentity() {
		dag = by.Identity
	}
	d, err := newDraft(by.body(dag, parents, now), p)
	if err != nil {
		return nil, err
	}
	d.sign(SigIssuer, by.Signer.Public().Sign, by.Signer.Sign)
	return d.Finish()
}

// ForceAdd issues a DeviceAdd as Force does.
func ForceAdd(g *Graph, by Issuer, parents []CredentialID, device Signer, level Level, now time.Time) (*Credential, error) {
	d, err := newDraft(by.body(by.Identity, parents, now), &DeviceAdd{Device: device.Public(), Level: level})
	if err != nil {
		return nil, err
	}
	d.sign(SigIssuer, by.Signer.Public().Sign, by.Signer.Sign)
	d.sign(SigSubject, device.Public().Sign, device.Sign)
	return d.Finish()
}

// ForceRoot issues a credential by a root key without asking.
func ForceRoot(root *RootKeys, identity IdentityID, parents []CredentialID, p Payload, now time.Time) (*Credential, error) {
	d, err := newDraft(bodyWire{DAG: identity, Parents: parents, IssuedAt: unix(now)}, p)
	if err != nil {
		return nil, err
	}
	d.sign(SigRoot, root.Public().Sign, root.Sign)
	return d.Finish()
}

// Effective returns the credentials of the state that took something from
// somebody, and have the last word on it.
func Effective(s *State) (out []*Credential) {
	for _, at := range s.resolution.acts {
		out = append(out, s.graph.nodes[at].Credential)
	}
	return out
}

// Unresolved returns the state that the credentials would make if acts voided
// nothing: what the properties of the resolver must notice.
func Unresolved(g *Graph) *State {
	set := g.closure(g.sortedHeads())
	return fold(g, resolution{set: set, valid: g.validate(set, nil)})
}

// ForceRotate returns the payload of an epoch that follows what view says.
func ForceRotate(view *State, key EpochKey, known func(EpochID) (EpochKey, bool)) (*EpochRotate, error) {
	return newRotate(view, key, RotateManual, known)
}

// The padding.
var (
	Pad   = pad
	Unpad = unpad
	Padme = padme
)

// MaxPayload is the length of the largest payload.
const MaxPayload = maxPayload

// DraftError returns why a body with these fields is malformed; by may be nil.
func DraftError(dag [32]byte, parents []CredentialID, by *Issuer, p Payload) error {
	w := bodyWire{DAG: dag, Parents: parents}
	if by != nil {
		w = by.body(dag, parents, time.Unix(0, 0))
	}
	_, err := newDraft(w, p)
	return err
}

// WrapFor wraps a key to a device under the name of any epoch.
func WrapFor(to DevicePublic, space SpaceID, epoch EpochID, key EpochKey) (WrappedKey, error) {
	return wrapFor(to, space, epoch, key, false)
}

// Forget drops the states and answers that the graph remembers.
func Forget(g *Graph) {
	clear(g.memo)
	clear(g.folds)
	clear(g.standings)
}

// Calibrate chooses a cost by another clock.
var Calibrate = calibrate
