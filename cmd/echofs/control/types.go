package control

import (
	"encoding/json"
	"time"

	"echofs/echo"
)

// The documents of requests and replies. Fields may be added, never renamed:
// scripts read them. Lists are never null.

// None is a request or reply without content.
type None struct{}

// Pong tells who answers.
type Pong struct {
	Version string   `json:"version"`
	PID     int      `json:"pid"`
	Home    string   `json:"home"`
	Mounts  []string `json:"mounts"`
}

// Identity is the person whose vault this is, and the vault's device.
type Identity struct {
	DID    string    `json:"did"`
	Name   string    `json:"name"`
	Device DeviceRef `json:"device"`

	Protection Protection `json:"protection"`
}

// IdentityRef names a person.
type IdentityRef struct {
	DID  string `json:"did"`
	Name string `json:"name"`
}

// DeviceRef names a device.
type DeviceRef struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// PhraseRequest asks for the recovery phrase.
type PhraseRequest struct {
	Forget     bool   `json:"forget"`               // remove it from the vault
	Passphrase []byte `json:"passphrase,omitempty"` // of the vault, where it has one
}

// Phrase is the recovery phrase: 24 words. It is a secret.
type Phrase struct {
	Phrase string `json:"phrase"`
}

// StatusReply is what `echofs status` prints.
type StatusReply struct {
	Identity IdentityRef   `json:"identity"`
	Device   DeviceRef     `json:"device"`
	Mounts   []string      `json:"mounts"`
	Spaces   []SpaceStatus `json:"spaces"`
	Warnings []Warning     `json:"warnings"`
	Sync     *SyncStatus   `json:"sync,omitempty"` // of all spaces together
}

// The states of a space.
const (
	StateSynced  = "synced"  // every connected peer has what we have, and we what they have
	StateSyncing = "syncing" // entries are under way
	StateOffline = "offline" // there are other devices, and none is connected
	StateAlone   = "alone"   // there is no other device
)

// SpaceStatus is one space in a StatusReply.
type SpaceStatus struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Role        string   `json:"role"`
	Objects     int      `json:"objects"`
	Drafts      int      `json:"drafts"`
	Conflicts   int      `json:"conflicts"`
	Quarantined int      `json:"quarantined"`
	Behind      []Behind `json:"behind"`
	Peers       int      `json:"peers"`
	State       string   `json:"state"`

	Sync  *SyncStatus  `json:"sync,omitempty"`    // while something is still to come
	Open  []OpenFile   `json:"present,omitempty"` // files that others have open
	Relay *RelayStatus `json:"relay,omitempty"`   // where this device is a relay of it
	// Unreached are the entries that the host of the invitation had, that have not
	// come, and that no connected device has.
	Unreached uint64 `json:"unreached,omitempty"`
}

// OpenFile is a file that somebody has open on another device.
type OpenFile struct {
	Path string `json:"path"`
	echo.Presence
}

// SyncStatus is how a sync goes. What is not known is null.
type SyncStatus struct {
	Entries uint64   `json:"entries"`         // that are here
	Total   *uint64  `json:"entries_total"`   // null: no device has told what there is
	Bytes   uint64   `json:"bytes"`           // that came since the vault was opened
	PerSec  float64  `json:"entries_per_s"`   // in the last seconds
	Rate    float64  `json:"bytes_per_s"`     // in the last seconds
	ETA     *float64 `json:"eta_s"`           // seconds until all entries are here; null: not known
	Blobs   int      `json:"blobs_missing"`   // files of which content is missing
	Content int64    `json:"content_missing"` // bytes of it, at most
}

// RelayStatus is what a relay keeps of a space.
type RelayStatus struct {
	Entries uint64 `json:"entries"`
	Bytes   int64  `json:"bytes"`         // of entries and chunks
	Quota   int64  `json:"quota"`         // the most bytes
	Wanted  int    `json:"chunks_wanted"` // that were named and have not come
	Refused uint64 `json:"refused"`       // how often there was no room since the vault was opened
}

// Behind is a device that has not acknowledged everything yet.
type Behind struct {
	Device   string     `json:"device"`
	Name     string     `json:"name"`
	Entries  uint64     `json:"entries"`
	LastSeen *time.Time `json:"last_seen"` // null: never
}

// Warning is something that needs a person.
type Warning struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Fix     string `json:"fix"`
	State   string `json:"state,omitempty"` // StateLocked, where that is the reason for all
}

// Peer is a device that is connected.
type Peer struct {
	Device        string  `json:"device"`
	Name          string  `json:"name"`
	Space         string  `json:"space"`
	Path          string  `json:"path"` // lan, direct or relay
	RTT           float64 `json:"rtt_ms"`
	EntriesBehind uint64  `json:"entries_behind"`
	Role          string  `json:"role"`
	Ahead         uint64  `json:"entries_ahead"`     // that it has and this device has not
	Lost          uint64  `json:"lost,omitempty"`    // entries it had acknowledged and did not have when it connected
	NoRoom        bool    `json:"no_room,omitempty"` // a relay whose quota is used up
}

// Space is one line of `echofs space list`.
type Space struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Role    string `json:"role"`
	Objects int    `json:"objects"`
	Members int    `json:"members"`
	Open    bool   `json:"open"`
}

// SpaceInfo is what `echofs space info` prints.
type SpaceInfo struct {
	SpaceStatus
	GenesisID string   `json:"genesis_id"` // the id that credentials name
	Members   []Member `json:"members"`
}

// SpaceRef names a space by its name or a prefix of its id.
type SpaceRef struct {
	Space string `json:"space"`
}

// SpaceCreate asks for a new space.
type SpaceCreate struct {
	Name string `json:"name"`
}

// SpaceRename changes the local name of a space.
type SpaceRename struct {
	Space string `json:"space"`
	Name  string `json:"name"`
}

// SpaceImport asks for a new space with the content of the archive that
// follows the request.
type SpaceImport struct {
	Name string `json:"name"`
}

// Chunk is a part of a file, in order.
type Chunk struct {
	Data []byte `json:"data"`
}

// Compacted tells what compacting a space did to the size of the store.
type Compacted struct {
	Before int64 `json:"bytes_before"`
	After  int64 `json:"bytes_after"`
}

// Member is one line of `echofs member list`.
type Member struct {
	DID     string         `json:"did"`
	Name    string         `json:"name"`
	Role    string         `json:"role"`
	Devices []MemberDevice `json:"devices"`
}

// MemberDevice is a device of a member.
type MemberDevice struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Online   bool       `json:"online"`
	LastSeen *time.Time `json:"last_seen"`
}

// Device is one line of `echofs device list`.
type Device struct {
	ID       string     `json:"id"`
	Name     string     `json:"name"`
	Level    string     `json:"level"`
	State    string     `json:"state"`
	LastSeen *time.Time `json:"last_seen"`
}

// DeviceInvite asks for an invitation of a further device.
type DeviceInvite struct {
	Primary    bool          `json:"primary"` // it may add and revoke devices
	Expires    time.Duration `json:"expires"` // nanoseconds
	NoAuthCode bool          `json:"no_auth_code"`
	NoWait     bool          `json:"no_wait"`
}

// DeviceRename changes the name of a device, which must be this one.
type DeviceRename struct {
	Device string `json:"device"` // its name or a prefix of its id; "" for this one
	Name   string `json:"name"`
}

// Rename changes a name.
type Rename struct {
	Name string `json:"name"`
}

// InviteRequest asks for an invitation.
type InviteRequest struct {
	Space      string        `json:"space"`
	Role       string        `json:"role"`
	Expires    time.Duration `json:"expires"` // nanoseconds; 0 for what is usual
	NoAuthCode bool          `json:"no_auth_code"`
	NoWait     bool          `json:"no_wait"`
	Recover    bool          `json:"recover"` // for a member who has lost all devices
	// Approval is "auto", or "ask": the answer is DecideGuest. For links "ask" may
	// be called "admin", and is what "" means.
	Approval string `json:"approval"`
	Link     bool   `json:"link"`
	Uses     int    `json:"uses"`  // of a link; 0 for 10
	Hosts    string `json:"hosts"` // of a link: "members" (also ""), editors' devices too, or "admins"
}

// GuestDecision admits a guest, or sends it away.
type GuestDecision struct {
	MemberRef      // Who is what the guest calls itself, or a prefix of its id
	Admit     bool `json:"admit"`
}

// Guest is somebody who waits for a decision.
type Guest struct {
	ID    string    `json:"id"`   // of the identity
	Name  string    `json:"name"` // what it calls itself
	Role  string    `json:"role"` // that it would get
	Emoji []string  `json:"emoji"`
	Over  bool      `json:"over"` // it came when the link was used up
	Asked time.Time `json:"asked"`
}

// InviteEvent is one line of `echofs invite --json`: the code first, then
// states.
type InviteEvent struct {
	Code     string     `json:"code,omitempty"`
	AuthCode string     `json:"auth_code,omitempty"`
	Expires  *time.Time `json:"expires,omitempty"`
	State    string     `json:"state,omitempty"`
	Member   string     `json:"member,omitempty"`     // who came in, with the last state
	ID       string     `json:"id,omitempty"`         // names the invitation, with the code
	Emoji    []string   `json:"emoji,omitempty"`      // four pictures that the guest sees too
	Tries    int        `json:"tries_left,omitempty"` // of the authorization code, once one was wrong
	Reason   string     `json:"reason,omitempty"`     // why it ended
	Guest    string     `json:"guest,omitempty"`      // in "review": the id of who waits for a decision
	Left     *int       `json:"uses_left,omitempty"`  // of a link
}

// Invitation is one line of `echofs invite list`.
type Invitation struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`  // member, device, link
	Space   string    `json:"space"` // its name; "" for a device
	Role    string    `json:"role"`  // of the member; "" for a device
	State   string    `json:"state"`
	Expires time.Time `json:"expires"`
	Tries   int       `json:"tries_left"`
	Guest   string    `json:"guest"`
	Uses    int       `json:"uses,omitempty"`     // of a link: how many came by it
	MaxUses int       `json:"max_uses,omitempty"` // of a link
	By      string    `json:"by,omitempty"`       // of a link: who made it
	Waiting []Guest   `json:"waiting,omitempty"`  // who waits for a decision
}

// InvitationRef names an invitation by a prefix of its id.
type InvitationRef struct {
	ID string `json:"id"`
}

// JoinRequest asks to accept an invitation.
type JoinRequest struct {
	Code     string `json:"code"`
	AuthCode string `json:"auth_code"`
	As       string `json:"as"` // the local name of the space; "" for the name it has
	// Timeout is for how long the host is looked for, in nanoseconds; 0 for 90 s.
	Timeout time.Duration `json:"timeout"`
	NoWait  bool          `json:"no_wait"` // do not stay until what there is has come
}

// JoinEvent is one line of `echofs join --json`: states, and at last the space.
type JoinEvent struct {
	State   string   `json:"state,omitempty"`
	Space   string   `json:"space,omitempty"`
	Name    string   `json:"name,omitempty"`
	Already bool     `json:"already,omitempty"` // was a member before
	Emoji   []string `json:"emoji,omitempty"`   // four pictures that the host sees too

	Sync *SyncStatus `json:"sync,omitempty"` // with the state "syncing"
}

// WaitRequest asks to return when other devices have what is saved here now.
type WaitRequest struct {
	PathRef
	Peers   int           `json:"peers"`   // how many devices; 0 for all that are not revoked
	Device  string        `json:"device"`  // name or id of one device
	Timeout time.Duration `json:"timeout"` // nanoseconds; 0 for none
}

// WaitReply tells who has it; one whenever that changes, the last with Done.
type WaitReply struct {
	Acknowledged []DeviceRef `json:"acknowledged"`
	Missing      []DeviceRef `json:"missing"`
	Done         bool        `json:"done"`
}

// PathRef names a file: by the argument as it was typed, and by the absolute
// path that it means to the caller.
type PathRef struct {
	Arg string `json:"arg"`
	Abs string `json:"abs"`
}

// Stat is what `echofs stat` prints.
type Stat struct {
	echo.Stat
	Path string `json:"path"` // "<space>/…"
	Size int64  `json:"size"`
}

// Revision is one line of `echofs log`, newest first.
type Revision struct {
	Rev     int       `json:"rev"`
	Hash    string    `json:"hash"`
	Time    time.Time `json:"time"`
	Author  string    `json:"author"`
	Device  string    `json:"device"`
	Fields  []string  `json:"fields"`
	Summary string    `json:"summary"`
}

// ShowRequest asks for the content of a file.
type ShowRequest struct {
	PathRef
	At        string `json:"at"` // a revision or a time; "" for now
	Canonical bool   `json:"canonical"`
}

// Shown is the content of a file.
type Shown struct {
	Data []byte     `json:"data"`
	Blob *ShownBlob `json:"blob,omitempty"` // of a blob, whose content is read by ReadObject
}

// ShownBlob is a version of a blob.
type ShownBlob struct {
	Size int64  `json:"size"`
	Root string `json:"root"` // the address of its content; "" for an empty one
}

// DraftList asks for the drafts of one space, or of all.
type DraftList struct {
	Space string `json:"space"`
}

// Draft is one line of `echofs drafts list`.
type Draft struct {
	Path    string    `json:"path"`
	Space   string    `json:"space"`
	Line    int       `json:"line"`
	Column  int       `json:"column"`
	Pointer string    `json:"pointer"`
	Reason  string    `json:"reason"`
	Saved   time.Time `json:"saved"`
	// What others did with the object since: "deleted", "changed" or "".
	Meanwhile string `json:"meanwhile,omitempty"`
}

// QueryRequest asks for objects of a space.
type QueryRequest struct {
	Space string `json:"space"`
	Type  string `json:"type"`
	Where string `json:"where"` // a jq expression that is true of the object
	Text  string `json:"text"`  // words that the object contains
}

// QueryResult is one object that was asked for.
type QueryResult struct {
	ID   string          `json:"id"`
	Path string          `json:"path"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// MountRequest asks a daemon for another mount.
type MountRequest struct {
	Dir        string `json:"dir"` // absolute
	Space      string `json:"space"`
	ReadOnly   bool   `json:"read_only"`
	AllowOther bool   `json:"allow_other"`
	Xattr      bool   `json:"xattr"`
	Hold       bool   `json:"hold"` // unmount when the request ends
}

// MountEvent tells what became of a mount: first that it is there, and for a
// held one at last that it is gone.
type MountEvent struct {
	Dir   string `json:"dir"`
	State string `json:"state"` // mounted, unmounted
}

// MountRemove asks for the end of a mount.
type MountRemove struct {
	Dir  string `json:"dir"`
	Lazy bool   `json:"lazy"` // detach it although it is in use
}

// MountRemoved tells whether the daemon ends, because it was its last mount.
type MountRemoved struct {
	Last bool `json:"last"`
	PID  int  `json:"pid"`
}

// FsckRequest asks for a check of the store.
type FsckRequest struct {
	Repair bool `json:"repair"`
}

// FsckReply is what was found.
type FsckReply struct {
	Objects  int      `json:"objects"`
	Entries  int      `json:"entries"`
	Problems []string `json:"problems"`
	Repaired int      `json:"repaired"`
}

// Check is one line of `echofs doctor`.
type Check struct {
	Name   string `json:"name"`
	State  string `json:"state"` // ok, warn, fail
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}
