package fs

import (
	"context"
	"log/slog"
	"time"

	"echofs/echo"
)

// Options are what a FileSystem is made of.
type Options struct {
	// LocalDir is the directory of the content of local files, one plain file
	// named by its inode number for each. It belongs to one vault: all of its file
	// systems have the same. New makes it if it is missing and clears it of what no
	// node refers to. Required.
	LocalDir string

	// AllowOther lets other users in, as far as the permissions of files do. The
	// defaults are 0600 and 0700 then. The root, whose mode cannot be set, has 0711:
	// others come to a space that its mode opens. Without AllowOther the kernel
	// admits the user who mounts and nobody else, not even root. An ordinary user
	// needs user_allow_other in /etc/fuse.conf.
	AllowOther bool

	// XAttr shows what is known of a file as extended attributes user.echofs.*. It
	// makes long listings and every write several times slower.
	XAttr bool

	// ReadOnly makes the whole mount read-only.
	ReadOnly bool

	// Space, if not zero, is the only space that the mount shows. The root is
	// still a directory, with that space in it.
	Space echo.SpaceID

	// Control returns the content of a file of the control directories that this
	// package cannot make itself: "status.json", "identity.json" and "peers.json"
	// for the root, "<public id of the space>/status.json" for a space. It is
	// called at each open, stat and listing of the file, and has five seconds. An
	// error that wraps echo.ErrNotFound means that there is no such file; so
	// does a nil Control.
	Control func(ctx context.Context, name string) ([]byte, error)

	// Helper is the command that runs PokeMain in a process of its own, usually
	// this program with a hidden subcommand. With it, programs that watch files
	// and directories hear of what other devices change; without it, or on a mount
	// that is read-only, they do not, but see it whenever they look.
	Helper []string

	// Opened, unless nil, is told of each open of an object by a program; what it
	// returns is called when that is closed. Both must not block.
	Opened func(echo.Node) (closed func())

	// Present, unless nil, returns who else has an object open, for the files of
	// .echofs/meta.
	Present func(echo.Node) []echo.Presence

	// BlobWait bounds how long a read waits for content that only other devices
	// have; DefaultBlobWait if zero. It then fails with ETIMEDOUT.
	BlobWait time.Duration

	// Debug logs every request.
	Debug bool

	// Logger takes what nobody else hears of; slog.Default() if nil.
	Logger *slog.Logger
}

// DefaultBlobWait is long enough for a device to be found that has the content.
const DefaultBlobWait = 10 * time.Second

// The times of this package. They are constants because each was measured
// against what programs do, not matters of taste.
const (
	// cacheTime is how long the kernel may keep entries and attributes. It is
	// told of every change, so the only limit is memory, which it reclaims.
	cacheTime = time.Hour

	// settled is how long after its last change a file is read through the page
	// cache again. Until then each open reads a snapshot, so that a series of
	// saves is never seen torn.
	settled = 3 * time.Second

	// saveTime bounds what waits for the engine, since a program that waits for
	// a file system cannot be killed.
	saveTime = time.Minute

	// controlTime bounds one call of Options.Control.
	controlTime = 5 * time.Second
)

// maxBuffer is how many bytes a write handle holds: four times the largest
// text. Beyond it a write fails with EFBIG.
const maxBuffer = 64 << 20

// maxText is the size beyond which a fresh text file becomes a local file.
const maxText = 16 << 20

// maxName is the length of a name in bytes.
const maxName = 255
