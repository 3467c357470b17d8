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
