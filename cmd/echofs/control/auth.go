package control

import (
	"fmt"
	"slices"
)

// Caller is who makes a request.
type Caller struct {
	Owner  bool    // the vault's owner, who may do everything
	Scopes []Scope // what another caller may do
}

// authorize is the one place where a request is allowed or refused.
func authorize(c Caller, m Method) error {
	if c.Owner {
		return nil
	}
	if m.Scope != Owner && m.Scope != "" && slices.Contains(c.Scopes, m.Scope) {
		return nil
	}
	return fmt.Errorf("%s needs the scope %q: %w", m.Name, m.Scope, ErrRefused)
}
