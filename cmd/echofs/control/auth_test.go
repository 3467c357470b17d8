package control

import (
	"errors"
	"testing"
)

// The owner may call everything, an application what its scopes name, and
// nobody else anything.
func TestAuthorize(t *testing.T) {
	for _, m := range Methods() {
		if err := authorize(Caller{Owner: true}, m); err != nil {
			t.Errorf("%s by the owner: %v", m.Name, err)
		}
		if err := authorize(Caller{}, m); !errors.Is(err, ErrRefused) {
			t.Errorf("%s by nobody: got %v, want %v", m.Name, err, ErrRefused)
		}
		err := authorize(Caller{Scopes: []Scope{m.Scope}}, m)
		if refused := errors.Is(err, ErrRefused); refused != (m.Scope == Owner) {
			t.Errorf("%s by an application with scope %q: got %v", m.Name, m.Scope, err)
		}
	}
}
