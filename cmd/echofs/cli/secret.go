package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/text/unicode/norm"

	"echofs/cmd/echofs/control"
	"echofs/cmd/echofs/vault"
)

// secrets is what opens a vault, as the user gives it. A passphrase comes from
// the terminal, or from a file descriptor; never from the command line or the
// environment, which other processes see.
type secrets struct {
	keyFile string // --key-file; "" for $ECHOFS_KEY_FILE or none
	fd      int    // --passphrase-fd; below 0 for none

	file    *os.File // of fd, once it was read
	current []byte   // the vault's passphrase, once it was said
}

// access returns what opens a vault. It asks for the passphrase where that is
// needed and somebody is there to be asked.
func (a *app) access(ctx context.Context, dir *vault.Dir) (vault.Access, error) {
	access := a.withoutPassphrase()
	if !dir.NeedsPassphrase() || dir.Shut() {
		return access, nil
	}
	if a.secrets.fd < 0 && a.secrets.current == nil && !isTerminal(a.stdin) {
		return access, nil // the vault says what can be done
	}
	phrase, err := a.currentPassphrase(ctx)
	access.Passphrase = phrase
	return access, err
}

// withoutPassphrase returns what opens or protects a vault that has none.
func (a *app) withoutPassphrase() vault.Access {
	if a.secrets.keyFile != "" {
		return vault.Access{KeyFile: a.secrets.keyFile}
	}
	return vault.Access{KeyFile: a.getenv("ECHOFS_KEY_FILE")}
}

// currentPassphrase returns a copy of the vault's passphrase, which is asked for
// once.
func (a *app) currentPassphrase(ctx context.Context) ([]byte, error) {
	if a.secrets.current == nil {
		phrase, err := a.passphrase(ctx, "passphrase: ")
		if err != nil {
			return nil, err
		}
		a.secrets.current = phrase
	}
	return append([]byte{}, a.secrets.current...), nil
}

// newPassphrase asks for a passphrase that is to be set; on a terminal twice.
func (a *app) newPassphrase(ctx context.Context) ([]byte, error) {
	phrase, err := a.passphrase(ctx, "new passphrase: ")
	if err != nil {
		return nil, err
	}
	if err := vault.CheckPassphrase(phrase); err != nil {
		return nil, err
	}
	if a.secrets.fd >= 0 || !isTerminal(a.stdin) {
		return phrase, nil
	}
	again, err := a.passphrase(ctx, "the same again: ")
	defer clear(again)
	if err == nil && string(again) != string(phrase) {
		err = fmt.Errorf("the two passphrases are not the same: %w", control.ErrUsage)
	}
	return phrase, err
}

// passphrase reads a line that is a secret: from the descriptor that was named,
// else from stdin; if that is a terminal it is asked for and not shown.
func (a *app) passphrase(ctx context.Context, question string) ([]byte, error) {
	in := a.stdin
	if a.secrets.fd >= 0 {
		if a.secrets.file == nil {
			a.secrets.file = os.NewFile(uintptr(a.secrets.fd), "passphrase")
		}
		return a.secretLine(ctx, a.secrets.file)
	}
	if !isTerminal(in) {
		return a.secretLine(ctx, in)
	}
	restore, err := hideTyping(in)
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	defer restore()
	_, _ = io.WriteString(a.stderr, question)
	defer func() { _, _ = io.WriteString(a.stderr, "\n") }()
	return a.secretLine(ctx, in)
}

// hideTyping keeps a terminal from showing what is typed, until restore.
func hideTyping(f *os.File) (restore func(), err error) {
	fd := int(f.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	hidden := *before
	hidden.Lflag &^= unix.ECHO
	hidden.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}

// secretLine reads a line, or gives up when ctx ends: the reader then stays
// behind, since a terminal cannot be told to stop.
func (a *app) secretLine(ctx context.Context, in *os.File) ([]byte, error) {
	type answer struct {
		line []byte
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		line, err := readSecretLine(in)
		got <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-got:
		if r.err != nil {
			return nil, fmt.Errorf("read the passphrase: %w", r.err)
		}
		return norm.NFC.Bytes(r.line), nil // as every keyboard types it
	}
}

// readSecretLine reads up to the end of the line and not further: what follows
// is somebody else's.
func readSecretLine(in io.Reader) ([]byte, error) {
	line := make([]byte, 0, vault.MaxPassphrase+1)
	for one := make([]byte, 1); len(line) <= vault.MaxPassphrase; {
		n, err := in.Read(one)
		if n == 1 && one[0] == '\n' {
			return line, nil
		}
		line = append(line, one[:n]...)
		if errors.Is(err, io.EOF) && len(line) > 0 {
			return line, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("longer than %d bytes: %w", vault.MaxPassphrase, control.ErrUsage)
}

// prove returns the passphrase that a request must carry which takes keys out
// of the vault or changes what protects them; nil where the vault has none.
func (a *app) prove(ctx context.Context) ([]byte, error) {
	dir, err := a.existing()
	if err != nil || !dir.NeedsPassphrase() || dir.Shut() {
		return nil, err
	}
	if a.secrets.fd < 0 && a.secrets.current == nil && !isTerminal(a.stdin) {
		return nil, nil // the vault says what can be done
	}
	return a.currentPassphrase(ctx)
}

// existing opens the directory of the vault, which must be there.
func (a *app) existing() (*vault.Dir, error) {
	home, err := vault.Home(a.home, a.getenv)
	if err != nil {
		return nil, err
	}
	return vault.OpenDir(home)
}
