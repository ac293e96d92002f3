package main

import (
	"context"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// tooLong is more than bcrypt takes.
var tooLong = strings.Repeat("p", 73)

// authCall is a call of the Auth service whose answer says nothing.
type authCall func(r *authRun, ctx context.Context) error

func (call authCall) cell(name string, undo authCall) authCell {
	return authCell{name: name, undo: undo, call: func(r *authRun, ctx context.Context) (string, error) { return "", call(r, ctx) }}
}

func addUser(name, password string, isWithoutPassword bool) authCall {
	return func(r *authRun, ctx context.Context) error {
		request := &pb.AuthUserAddRequest{Name: name, Password: password}
		if isWithoutPassword {
			request.Options = &authpb.UserAddOptions{NoPassword: true}
		}
		_, err := r.auth.UserAdd(ctx, request)
		return err
	}
}

func deleteUser(name string) authCall {
	return func(r *authRun, ctx context.Context) error {
		_, err := r.auth.UserDelete(ctx, &pb.AuthUserDeleteRequest{Name: name})
		return err
	}
}

func changePassword(name, password string) authCall {
	return func(r *authRun, ctx context.Context) error {
		_, err := r.auth.UserChangePassword(ctx, &pb.AuthUserChangePasswordRequest{Name: name, Password: password})
		return err
	}
}

func grantRoleTo(user, role string) authCall {
	return func(r *authRun, ctx context.Context) error {
		_, err := r.auth.UserGrantRole(ctx, &pb.AuthUserGrantRoleRequest{User: user, Role: role})
		return err
	}
}

func revokeRoleFrom(user, role string) authCall {
	return func(r *authRun, ctx context.Context) error {
		_, err := r.auth.UserRevokeRole(ctx, &pb.AuthUserRevokeRoleRequest{Name: user, Role: role})
		return err
	}
}

// inTurn does several things, for what has to be undone in more than one step.
func inTurn(calls ...authCall) authCall {
	return func(r *authRun, ctx context.Context) error {
		for _, call := range calls {
			if err := call(r, ctx); err != nil {
				return err
			}
		}
		return nil
	}
}

// nothingToUndo marks what makes tokens stale all the same.
func nothingToUndo(*authRun, context.Context) error { return nil }

func userGetCell(name string, who func(r *authRun) string) authCell {
	return authCell{name: "get " + name, isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
		answer, err := r.auth.UserGet(ctx, &pb.AuthUserGetRequest{Name: who(r)})
		return "[" + strings.Join(answer.GetRoles(), " ") + "]", err
	}}
}

func loginCell(name string, who func(r *authRun) string, password func(name string) string) authCell {
	return authCell{name: "log in " + name, isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
		user := who(r)
		answer, err := r.auth.Authenticate(ctx, &pb.AuthenticateRequest{Name: user, Password: password(user)})
		return fmt.Sprintf("a token %v", answer.GetToken() != ""), err
	}}
}

func always(name string) func(*authRun) string { return func(*authRun) string { return name } }

func userCells() []authCell {
	oneself := func(r *authRun) string { return r.row.name }
	wrong := func(string) string { return "wrong" }
	empty := func(string) string { return "" }
	long := func(string) string { return tooLong }
	own := func(call func(name string) authCall) authCall {
		return func(r *authRun, ctx context.Context) error { return call(r.row.name)(r, ctx) }
	}
	cells := []authCell{
		{name: "status of authentication", isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.auth.AuthStatus(ctx, &pb.AuthStatusRequest{})
			return fmt.Sprintf("on %v, revision %d", answer.GetEnabled(), answer.GetAuthRevision()), err
		}},
		authCall(func(r *authRun, ctx context.Context) error {
			_, err := r.auth.AuthEnable(ctx, &pb.AuthEnableRequest{})
			return err
		}).cell("enable authentication", nil),
		authCall(func(r *authRun, ctx context.Context) error {
			_, err := r.auth.AuthDisable(ctx, &pb.AuthDisableRequest{})
			return err
		}).cell("disable authentication", nil),
		{name: "list users", isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.auth.UserList(ctx, &pb.AuthUserListRequest{})
			return strings.Join(answer.GetUsers(), " "), err
		}},
		userGetCell("oneself", oneself),
		userGetCell("another user", always("holds-b-user")),
		userGetCell("root", always("root")),
		userGetCell("a user that is not there", always("absent")),
		userGetCell("a user without a name", always("")),
		loginCell("oneself", oneself, passwordFor),
		loginCell("with a wrong password", oneself, wrong),
		loginCell("without a password", oneself, empty),
		loginCell("with a long password", oneself, long),
		loginCell("as another", always("holds-b-user"), passwordFor),
		loginCell("as nobody", always("absent"), passwordFor),
		loginCell("without a name", always(""), passwordFor),
		loginCell("as one without password", always("no-password"), empty),
		loginCell("as one without password, with one", always("no-password"), passwordFor),
		addUser("new", "p", false).cell("add a user", deleteUser("new")),
		addUser("new", "", true).cell("add a user without password", deleteUser("new")),
		addUser("new", "", false).cell("add a user with an empty password", deleteUser("new")),
		addUser("spare", "p", false).cell("add a user that is there", nil),
		addUser("", "p", false).cell("add a user without a name", nil),
		addUser("new", tooLong, false).cell("add a user with a long password", nil),
		deleteUser("spare").cell("delete a user", inTurn(addUser("spare", passwordFor("spare"), false), grantRoleTo("spare", "spare-role"))),
		deleteUser("absent").cell("delete a user that is not there", nil),
		deleteUser("root").cell("delete root", nil),
		changePassword("spare", "other").cell("change another's password", nothingToUndo),
		changePassword("spare", "").cell("change another's password to none", nothingToUndo),
		changePassword("no-password", "p").cell("give one without password a password", nothingToUndo),
		changePassword("absent", "other").cell("change the password of one who is not there", nil),
		changePassword("spare", tooLong).cell("change a password to a long one", nil),
		own(func(name string) authCall { return changePassword(name, passwordFor(name)) }).cell("change one's own password", nothingToUndo),
		grantRoleTo("spare", "holds-b").cell("grant a role", revokeRoleFrom("spare", "holds-b")),
		grantRoleTo("spare", "root").cell("grant role root", revokeRoleFrom("spare", "root")),
		grantRoleTo("spare", "spare-role").cell("grant a role again", nothingToUndo),
		grantRoleTo("absent", "holds-b").cell("grant a role to one who is not there", nil),
		grantRoleTo("spare", "absent").cell("grant a role that is not there", nil),
		own(func(name string) authCall { return grantRoleTo(name, "everything") }).cell("grant a role to oneself", own(func(name string) authCall { return revokeRoleFrom(name, "everything") })),
		revokeRoleFrom("spare", "spare-role").cell("revoke a role", grantRoleTo("spare", "spare-role")),
		revokeRoleFrom("spare", "holds-b").cell("revoke a role that is not granted", nil),
		revokeRoleFrom("absent", "holds-b").cell("revoke a role from one who is not there", nil),
		revokeRoleFrom("root", "root").cell("revoke root from root", nil),
	}
	for at := range cells {
		cells[at].notForRoot = cells[at].name == "disable authentication"
	}
	removeOneself := own(deleteUser).cell("delete oneself", nil)
	removeOneself.notForRoot = true
	return append(cells, removeOneself)
}
