package control

import (
	"slices"
	"strings"

	"echofs/echo"
)

// Scope names what a caller must be allowed to do. Scopes that begin with
// "space:" but SpaceNew are about the space that the request names.
type Scope string

// The scopes. Owner is the vault's owner on the vault's own socket; it is never
// given to an application.
const (
	Owner        Scope = "owner"
	Status       Scope = "status"
	IdentityRead Scope = "identity:read"
	InviteCreate Scope = "invite:create"
	SpaceNew     Scope = "space:new"
	SpaceRead    Scope = "space:read"
	SpaceWrite   Scope = "space:write"
	SpaceAdmin   Scope = "space:admin"
)

// Kind tells what goes over the wire in a call.
type Kind uint8

// The kinds of methods.
const (
	Unary  Kind = iota // one item is the reply
	Stream             // any number of items
	Upload             // raw bytes follow the request; one item is the reply
)

// Method is what can be said of an RPC without its types.
type Method struct {
	Name  string // a path of lower case words, as "space/create"
	Scope Scope
	Kind  Kind
}

// RPC is a method with the types of its request and of the items it replies.
type RPC[Req, Item any] struct{ Method }

// The methods of the API.
var (
	Ping           = define[None, Pong]("ping", Status, Unary)
	GetStatus      = define[None, StatusReply]("status", Status, Unary)
	WatchStatus    = define[None, StatusReply]("status/watch", Status, Stream)
	GetPeers       = define[None, []Peer]("peers", Status, Unary)
	GetIdentity    = define[None, Identity]("identity", IdentityRead, Unary)
	ShowPhrase     = define[PhraseRequest, Phrase]("phrase/show", Owner, Unary)
	SetPassphrase  = define[PassphraseChange, Protection]("passphrase/set", Owner, Unary)
	DropPassphrase = define[PassphraseChange, Protection]("passphrase/remove", Owner, Unary)
	LockVault      = define[LockRequest, LockReply]("lock", Owner, Unary)
	ListDevices    = define[None, []Device]("device/list", IdentityRead, Unary)
	InviteDevice   = define[DeviceInvite, InviteEvent]("device/invite", Owner, Stream)
	RenameDevice   = define[DeviceRename, Identity]("device/rename", Owner, Unary)
	RenameIdentity = define[Rename, Identity]("identity/rename", Owner, Unary)
	CreateSpace    = define[SpaceCreate, Space]("space/create", SpaceNew, Unary)
	ListSpaces     = define[None, []Space]("space/list", Status, Unary)
	GetSpace       = define[SpaceRef, SpaceInfo]("space/info", SpaceRead, Unary)
	RenameSpace    = define[SpaceRename, Space]("space/rename", SpaceAdmin, Unary)
	ExportSpace    = define[SpaceRef, Chunk]("space/export", SpaceRead, Stream)
	ImportSpace    = define[SpaceImport, Space]("space/import", SpaceNew, Upload)
	CompactSpace   = define[SpaceRef, Compacted]("space/compact", SpaceAdmin, Unary)
	ListMembers    = define[SpaceRef, []Member]("member/list", SpaceRead, Unary)
	SetRole        = define[MemberRole, None]("member/role", SpaceAdmin, Unary)
	RemoveMember   = define[MemberRef, None]("member/remove", SpaceAdmin, Unary)
	DecideGuest    = define[GuestDecision, Guest]("member/decide", SpaceAdmin, Unary)
	LeaveSpace     = define[SpaceRef, None]("space/leave", Owner, Unary)
	RevokeDevice   = define[DeviceRevoke, None]("device/revoke", Owner, Unary)
	Audit          = define[AuditRequest, []AuditEntry]("audit", Owner, Unary)
	AdoptEntries   = define[AdoptRequest, Adopted]("adopt", SpaceWrite, Unary)
	Invite         = define[InviteRequest, InviteEvent]("invite", InviteCreate, Stream)
	ListInvites    = define[None, []Invitation]("invite/list", InviteCreate, Unary)
	CancelInvite   = define[InvitationRef, Invitation]("invite/cancel", InviteCreate, Unary)
	Join           = define[JoinRequest, JoinEvent]("join", SpaceNew, Stream)
	Wait           = define[WaitRequest, WaitReply]("wait", SpaceRead, Stream)
	StatObject     = define[PathRef, Stat]("object/stat", SpaceRead, Unary)
	LogObject      = define[PathRef, []Revision]("object/log", SpaceRead, Unary)
	ShowObject     = define[ShowRequest, Shown]("object/show", SpaceRead, Unary)
	ReadObject     = define[ShowRequest, Chunk]("object/read", SpaceRead, Stream)
	BlameObject    = define[PathRef, []echo.Blame]("object/blame", SpaceRead, Unary)
	WatchChanges   = define[PathRef, echo.Change]("watch", SpaceRead, Stream)
	ListDrafts     = define[DraftList, []Draft]("drafts/list", SpaceRead, Unary)
	ShowDraft      = define[PathRef, Shown]("drafts/show", SpaceRead, Unary)
	DiscardDraft   = define[PathRef, None]("drafts/discard", SpaceWrite, Unary)
	DiffObject     = define[DiffRequest, Diff]("object/diff", SpaceRead, Unary)
	RestoreAt      = define[RestoreRequest, Restored]("object/restore", SpaceWrite, Unary)
	Undo           = define[PathRef, []Undone]("undo", SpaceWrite, Unary)
	ListConflicts  = define[PathRef, []Conflict]("conflicts/list", SpaceRead, Unary)
	Settle         = define[SettleRequest, None]("conflicts/settle", SpaceWrite, Unary)
	ListTrash      = define[TrashList, []Trashed]("trash/list", SpaceRead, Unary)
	RestoreTrash   = define[PathRef, []string]("trash/restore", SpaceWrite, Unary)
	QuerySpace     = define[QueryRequest, []QueryResult]("query", SpaceRead, Unary)
	AddMount       = define[MountRequest, MountEvent]("mount/add", Owner, Stream)
	RemoveMount    = define[MountRemove, MountRemoved]("mount/remove", Owner, Unary)
	CheckVault     = define[FsckRequest, FsckReply]("fsck", Owner, Unary)
	Examine        = define[None, []Check]("doctor", Owner, Unary)
)

// methods collects what define made, in the order above.
var methods []Method

func define[Req, Item any](name string, scope Scope, kind Kind) RPC[Req, Item] {
	m := Method{Name: name, Scope: scope, Kind: kind}
	methods = append(methods, m)
	return RPC[Req, Item]{m}
}

// Methods lists every method of the API by name.
func Methods() []Method {
	return slices.SortedFunc(slices.Values(methods), func(a, b Method) int { return strings.Compare(a.Name, b.Name) })
}
