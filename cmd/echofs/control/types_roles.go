package control

import "time"

// MemberRef names a member of a space: by its DID, the name it shows, or the
// beginning of its id.
type MemberRef struct {
	Space string `json:"space"`
	Who   string `json:"who"`
}

// MemberRole asks for another role of a member.
type MemberRole struct {
	MemberRef
	Role string `json:"role"`
}

// DeviceRevoke asks to let a device of the own identity go.
type DeviceRevoke struct {
	Device  string    `json:"device"` // its name, or the beginning of its id
	Reason  string    `json:"reason"` // lost, compromised or retired
	AsOf    time.Time `json:"as_of"`  // what came from it later does not count; zero: all that came counts
	Cascade bool      `json:"cascade"`
}

// AuditEntry is one line of `echofs audit`: an entry that is not simply part of
// the documents.
type AuditEntry struct {
	Space   string    `json:"space"`
	Entry   string    `json:"entry"`
	Feed    string    `json:"feed"`
	Seq     uint64    `json:"seq"`
	State   string    `json:"state"` // late, held, endorsed, adopted, void, waiting or quarantined
	Reason  string    `json:"reason"`
	Author  string    `json:"author"`
	Device  string    `json:"device"`
	Time    time.Time `json:"time"`
	Changes int       `json:"changes"`
}

// AuditRequest asks for the entries of one space, or of all.
type AuditRequest struct {
	Space string `json:"space"`
}

// AdoptRequest asks to take late entries back: beginnings of ids, FEED:SEQ,
// FEED:FROM-TO, or "all".
type AdoptRequest struct {
	Space   string   `json:"space"`
	Entries []string `json:"entries"`
}

// Adopted tells how many entries were taken back.
type Adopted struct {
	Entries int `json:"entries"`
}

// SpaceName names a space.
type SpaceName struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Recovered is what `echofs recover` prints.
type Recovered struct {
	Identity
	Spaces  []SpaceName `json:"spaces"`  // that came back
	Revoked []Device    `json:"revoked"` // devices that were let go
}
