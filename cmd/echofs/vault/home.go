package vault

import (
	"fmt"
	"path/filepath"

	"echofs/cmd/echofs/control"
)

// Home returns the absolute path of the vault's directory: flag, else
// $ECHOFS_HOME, else $XDG_DATA_HOME/echofs, else ~/.local/share/echofs.
func Home(flag string, getenv func(string) string) (string, error) {
	for _, dir := range []string{flag, getenv("ECHOFS_HOME")} {
		if dir != "" {
			return filepath.Abs(dir)
		}
	}
	return inBase(getenv, "XDG_DATA_HOME", ".local/share")
}

// configDir returns the directory of what belongs to the user and to no single
// vault: $XDG_CONFIG_HOME/echofs, else ~/.config/echofs.
func configDir(getenv func(string) string) (string, error) {
	return inBase(getenv, "XDG_CONFIG_HOME", ".config")
}

// inBase returns "echofs" in a base directory of the XDG specification, which
// says that a relative path in the variable is to be ignored.
func inBase(getenv func(string) string, variable, fallback string) (string, error) {
	if dir := getenv(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "echofs"), nil
	}
	home := getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", control.WithHint(fmt.Errorf("find the vault: $HOME is not set: %w", control.ErrUsage),
			"say where the vault is with --home DIR or $ECHOFS_HOME")
	}
	return filepath.Join(home, fallback, "echofs"), nil
}
