package vault

import (
	"context"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"echofs/cmd/echofs/control"
	"echofs/echo"
)

func (v *Vault) registerSpaces() {
	control.Handle(v.server, control.CreateSpace, v.createSpace)
	control.Handle(v.server, control.ListSpaces, v.listSpaces)
	control.Handle(v.server, control.GetSpace, v.getSpace)
	control.Handle(v.server, control.RenameSpace, v.renameSpace)
	control.Handle(v.server, control.ListMembers, v.listMembers)
}

func (v *Vault) createSpace(ctx context.Context, req control.SpaceCreate) (control.Space, error) {
	s, err := v.repo.CreateSpace(ctx, req.Name)
	if err != nil {
		return control.Space{}, err
	}
	return spaceLine(ctx, s)
}

func spaceLine(ctx context.Context, s *echo.Space) (control.Space, error) {
	info, err := s.Info(ctx)
	if err != nil {
		return control.Space{}, fmt.Errorf("look at space %s: %w", s.Name(), err)
	}
	return control.Space{ID: info.PublicID, Name: info.Name, Role: strings.ToLower(info.Role), Objects: info.Objects,
		Members: info.Members, Open: true}, nil
}

func (v *Vault) listSpaces(ctx context.Context, _ control.None) ([]control.Space, error) {
	out := []control.Space{}
	for _, s := range v.repo.Spaces() {
		line, err := spaceLine(ctx, s)
		if err != nil {
			return nil, err
		}
		out = append(out, line)
	}
	return out, nil
}

func (v *Vault) getSpace(ctx context.Context, req control.SpaceRef) (control.SpaceInfo, error) {
	s, err := v.space(req.Space)
	if err != nil {
		return control.SpaceInfo{}, err
	}
	st, err := v.spaceStatus(ctx, s)
	if err != nil {
		return control.SpaceInfo{}, err
	}
	return control.SpaceInfo{SpaceStatus: st, GenesisID: s.ID().String(), Members: v.members(s)}, nil
}

func (v *Vault) renameSpace(ctx context.Context, req control.SpaceRename) (control.Space, error) {
	s, err := v.space(req.Space)
	if err != nil {
		return control.Space{}, err
	}
	if err := v.repo.RenameSpace(ctx, s.ID(), req.Name); err != nil {
		return control.Space{}, err
	}
	return spaceLine(ctx, s)
}

// storeSize returns what the database takes on disk, in bytes.
func (v *Vault) storeSize() (size int64, err error) {
	err = filepath.WalkDir(v.dir.file(dbName), func(_ string, e iofs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return ignoreMissing(err)
		}
		info, err := e.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		size += info.Size()
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure the store: %w", err)
	}
	return size, nil
}

// ignoreMissing forgives files that go while they are listed.
func ignoreMissing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

func (v *Vault) listMembers(_ context.Context, req control.SpaceRef) ([]control.Member, error) {
	s, err := v.space(req.Space)
	if err != nil {
		return nil, err
	}
	return v.members(s), nil
}

func (v *Vault) members(s *echo.Space) []control.Member {
	online := v.present(s.ID())
	own := v.repo.Identity().DeviceID
	out := []control.Member{}
	for _, m := range s.MemberList() {
		one := control.Member{DID: m.DID, Name: m.Name, Role: strings.ToLower(m.Role), Devices: []control.MemberDevice{}}
		for _, d := range m.Devices {
			if d.ID == own {
				d.LastSeen = time.Now()
			}
			one.Devices = append(one.Devices, control.MemberDevice{ID: d.ID, Name: d.Name,
				Online: d.ID == own || online[d.ID], LastSeen: seen(d.LastSeen)})
		}
		out = append(out, one)
	}
	return out
}
