package halo

import "fmt"

// Role is what an identity may do in a space. Its number is written in
// credentials; its rank is another order, for which see AtLeast.
type Role uint8

// The roles.
const (
	RoleNone   Role = 0 // no member, or removed
	RoleReader Role = 1 // reads
	RoleEditor Role = 2 // reads and writes
	RoleAdmin  Role = 3 // and invites and removes those below
	RoleOwner  Role = 4 // and anything to those below, and makes owners
	RoleRelay  Role = 9 // stores and forwards what it cannot read
)

var roleNames = map[Role]string{
	RoleNone: "none", RoleReader: "reader", RoleEditor: "editor",
	RoleAdmin: "admin", RoleOwner: "owner", RoleRelay: "relay",
}

// String returns the name in lower case.
func (r Role) String() string {
	if name, ok := roleNames[r]; ok {
		return name
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// ParseRole reads the name of a role that can be granted. It fails with
// ErrUnknown.
func ParseRole(s string) (Role, error) {
	for r, name := range roleNames {
		if name == s && r != RoleNone {
			return r, nil
		}
	}
	return RoleNone, fmt.Errorf("role %q: %w", clip(s), ErrUnknown)
}

// grantable reports whether a credential may grant r.
func (r Role) grantable() bool { _, ok := roleNames[r]; return ok && r != RoleNone }

// rank orders the roles from none over relay to owner.
func (r Role) rank() int {
	if r == RoleRelay {
		return 1
	}
	if r == RoleNone {
		return 0
	}
	return int(r) + 1
}

// AtLeast reports whether r includes what min may do: none < relay < reader <
// editor < admin < owner.
func (r Role) AtLeast(min Role) bool { return r.rank() >= min.rank() }

// Reads reports whether r receives epoch keys.
func (r Role) Reads() bool { return r.AtLeast(RoleReader) }

// Level is what a device may do within its identity.
type Level uint8

// The levels.
const (
	LevelNone     Level = 0 // not a device, or revoked
	LevelOrdinary Level = 1 // acts for the identity in spaces
	LevelPrimary  Level = 2 // and adds and revokes devices
)

// String returns the name in lower case.
func (l Level) String() string {
	switch l {
	case LevelNone:
		return "none"
	case LevelOrdinary:
		return "ordinary"
	case LevelPrimary:
		return "primary"
	}
	return fmt.Sprintf("level(%d)", uint8(l))
}
