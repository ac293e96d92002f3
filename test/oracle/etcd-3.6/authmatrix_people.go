package main

import (
	"context"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	mayRead  = authpb.READ
	mayWrite = authpb.WRITE
	mayBoth  = authpb.READWRITE
)

// authRoles are made before authentication is on. Keys below "k/" are what most of them are about.
var authRoles = []struct {
	name   string
	grants []*authpb.Permission
}{
	{"no-permission", nil},
	{"reads-a", grants(permission(mayRead, "k/a", ""))},
	{"reads-b", grants(permission(mayRead, "k/b", ""))},
	{"writes-b", grants(permission(mayWrite, "k/b", ""))},
	{"holds-b", grants(permission(mayBoth, "k/b", ""))},
	{"reads-k", grants(permission(mayRead, "k/", "k0"))},
	{"writes-k", grants(permission(mayWrite, "k/", "k0"))},
	{"holds-k", grants(permission(mayBoth, "k/", "k0"))},
	{"adjacent", grants(permission(mayBoth, "k/", "k/c"), permission(mayBoth, "k/c", "k0"))},
	{"left-half", grants(permission(mayBoth, "k/", "k/c"))},
	{"right-half", grants(permission(mayBoth, "k/c", "k0"))},
	{"with-a-gap", grants(permission(mayBoth, "k/", "k/c"), permission(mayBoth, "k/c\x00", "k0"))},
	{"overlapping", grants(permission(mayBoth, "k/", "k/d"), permission(mayBoth, "k/b", "k0"))},
	{"one-in-the-other", grants(permission(mayBoth, "k/", "k0"), permission(mayRead, "k/b", "k/c"), permission(mayRead, "k/b", ""))},
	{"from-c", grants(permission(mayBoth, "k/c", "\x00"))},
	{"up-to-c", grants(permission(mayBoth, "k/b", "k/c"))},
	{"three-points", grants(permission(mayBoth, "k/b", ""), permission(mayBoth, "k/b\x00", ""), permission(mayRead, "k/b\x00\x00", ""))},
	{"read-then-write", grants(permission(mayRead, "k/", "k/c"), permission(mayWrite, "k/b", "k0"))},
	{"point-and-range", grants(permission(mayRead, "k/b", ""), permission(mayWrite, "k/b", "k/d"))},
	{"lowered", grants(permission(mayBoth, "k/", "k0"), permission(mayRead, "k/", "k0"))},
	{"everything", grants(permission(mayBoth, "\x00", "\x00"))},
	{"reads-all", grants(permission(mayRead, "\x00", "\x00"))},
	{"writes-all", grants(permission(mayWrite, "\x00", "\x00"))},
	{"reads-x", grants(permission(mayRead, "x/", "x0"))},
	{"holds-leases", grants(permission(mayBoth, "k/b", ""), permission(mayBoth, "k/l", "k/m"), permission(mayBoth, "x/l", "x/m"), permission(mayBoth, "k/vote/", "k/vote0"), permission(mayRead, "x/vote/", "x/vote0"))},
	{"deleted-role", grants(permission(mayBoth, "k/", "k0"))},
	{"spare-role", grants(permission(mayBoth, "s", ""))},
	{"root", nil},
}

func grants(all ...*authpb.Permission) []*authpb.Permission { return all }

// authPerson is somebody whose requests make a row.
type authPerson struct {
	name  string
	roles []string
	// prepare, for whom a login is not all there is to it, gives the token that is shown. It may change
	// users and roles, so the rows before it must not need their tokens any more.
	prepare func(r *authRun) (string, error)
	// isRoot leaves out what only they could do, and could not be undone.
	isRoot bool
	// isStranger has no user on the server.
	isStranger bool
}

func (p authPerson) firstRole() string {
	if len(p.roles) == 0 {
		return "no-permission"
	}
	return p.roles[0]
}

func authPeople() []authPerson {
	people := []authPerson{
		{name: authRoot, roles: []string{"root"}, isRoot: true},
		{name: "second-root", roles: []string{"holds-b", "root"}, isRoot: true},
		{name: "without-roles"},
		{name: "two-roles-meet", roles: []string{"left-half", "right-half"}},
		{name: "several-roles", roles: []string{"no-permission", "reads-a", "reads-x", "writes-k"}},
		{name: "role-deleted", roles: []string{"deleted-role"}},
		{name: "role-revoked", roles: []string{"no-permission"}},
	}
	for _, role := range authRoles {
		switch role.name {
		case "root", "deleted-role", "spare-role", "left-half", "right-half", "reads-x":
		default:
			people = append(people, authPerson{name: role.name + "-user", roles: []string{role.name}})
		}
	}
	return append(people,
		authPerson{name: "nobody", isStranger: true, prepare: func(*authRun) (string, error) { return "", nil }},
		authPerson{name: "invalid-token", isStranger: true, prepare: func(*authRun) (string, error) { return "no token at all", nil }},
		authPerson{name: "role-since-login", roles: []string{"holds-k"}, prepare: loginThen(grantLate)},
		authPerson{name: "stale-token", roles: []string{"holds-k"}, prepare: loginThen(growRevision)},
		authPerson{name: "password-changed", roles: []string{"holds-k"}, prepare: loginThen(changeOwnPassword)},
		authPerson{name: "user-deleted", roles: []string{"holds-k"}, prepare: loginThen(deleteOwnUser)},
	)
}

// setUpPeople makes everybody, and everything that is granted.
func (r *authRun) setUpPeople() error {
	for _, role := range authRoles {
		if err := r.addRole(role.name, role.grants...); err != nil {
			return err
		}
	}
	for _, person := range authPeople() {
		if person.isStranger {
			continue
		}
		roles := person.roles
		if person.name == "role-since-login" {
			roles = nil
		}
		if err := r.addUser(person.name, roles...); err != nil {
			return err
		}
	}
	if err := r.addUser("spare", "spare-role"); err != nil {
		return err
	}
	return r.asRoot("set up", func(ctx context.Context) error {
		options := &authpb.UserAddOptions{NoPassword: true}
		if _, err := r.auth.UserAdd(ctx, &pb.AuthUserAddRequest{Name: "no-password", Options: options}); err != nil {
			return err
		}
		if err := r.grantRole("no-password", "holds-k"); err != nil {
			return err
		}
		if err := r.grantRole("role-revoked", "holds-b"); err != nil {
			return err
		}
		if _, err := r.auth.UserRevokeRole(ctx, &pb.AuthUserRevokeRoleRequest{Name: "role-revoked", Role: "holds-b"}); err != nil {
			return err
		}
		_, err := r.auth.RoleDelete(ctx, &pb.AuthRoleDeleteRequest{Role: "deleted-role"})
		return err
	})
}

// loginThen logs a person in and changes something afterwards.
func loginThen(change func(r *authRun, ctx context.Context) error) func(r *authRun) (string, error) {
	return func(r *authRun) (token string, err error) {
		name := r.row.name
		if token, err = r.logIn(name, passwordFor(name)); err != nil {
			return "", err
		}
		return token, r.asRoot("what makes "+name, func(ctx context.Context) error { return change(r, ctx) })
	}
}

func grantLate(r *authRun, ctx context.Context) error {
	return r.grantRole(r.row.name, r.row.firstRole())
}

func growRevision(r *authRun, ctx context.Context) error {
	_, err := r.auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: "later"})
	return err
}

func changeOwnPassword(r *authRun, ctx context.Context) error {
	_, err := r.auth.UserChangePassword(ctx, &pb.AuthUserChangePasswordRequest{Name: r.row.name, Password: "another"})
	return err
}

func deleteOwnUser(r *authRun, ctx context.Context) error {
	_, err := r.auth.UserDelete(ctx, &pb.AuthUserDeleteRequest{Name: r.row.name})
	return err
}
