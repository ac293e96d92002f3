package main

import (
	"context"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/authpb"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func addRole(name string) authCall {
	return func(r *authRun, ctx context.Context) error {
		_, err := r.auth.RoleAdd(ctx, &pb.AuthRoleAddRequest{Name: name})
		return err
	}
}

func deleteRole(name string) authCall {
	return func(r *authRun, ctx context.Context) error {
		_, err := r.auth.RoleDelete(ctx, &pb.AuthRoleDeleteRequest{Role: name})
		return err
	}
}

func grantTo(role string, grant *authpb.Permission) authCall {
	return func(r *authRun, ctx context.Context) error {
		_, err := r.auth.RoleGrantPermission(ctx, &pb.AuthRoleGrantPermissionRequest{Name: role, Perm: grant})
		return err
	}
}

func revokeFrom(role, key, end string) authCall {
	return func(r *authRun, ctx context.Context) error {
		_, err := r.auth.RoleRevokePermission(ctx, &pb.AuthRoleRevokePermissionRequest{Role: role, Key: []byte(key), RangeEnd: []byte(end)})
		return err
	}
}

func roleGetCell(name string, which func(r *authRun) string) authCell {
	return authCell{name: "get " + name, isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
		answer, err := r.auth.RoleGet(ctx, &pb.AuthRoleGetRequest{Role: which(r)})
		texts := make([]string, len(answer.GetPerm()))
		for at, each := range answer.GetPerm() {
			texts[at] = fmt.Sprintf("%s %s-%s", each.PermType, authText(string(each.Key)), authText(string(each.RangeEnd)))
		}
		return "[" + strings.Join(texts, ", ") + "]", err
	}}
}

func roleCells() []authCell {
	spare := permission(mayBoth, "s", "")
	return []authCell{
		{name: "list roles", isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.auth.RoleList(ctx, &pb.AuthRoleListRequest{})
			return strings.Join(answer.GetRoles(), " "), err
		}},
		roleGetCell("one's own role", func(r *authRun) string { return r.row.firstRole() }),
		roleGetCell("another role", always("spare-role")),
		roleGetCell("role root", always("root")),
		roleGetCell("a role that is not there", always("absent")),
		roleGetCell("a role without a name", always("")),
		addRole("new").cell("add a role", deleteRole("new")),
		addRole("spare-role").cell("add a role that is there", nil),
		addRole("").cell("add a role without a name", nil),
		deleteRole("spare-role").cell("delete a role", inTurn(addRole("spare-role"), grantTo("spare-role", spare), grantRoleTo("spare", "spare-role"))),
		deleteRole("absent").cell("delete a role that is not there", nil),
		deleteRole("root").cell("delete role root", nil),
		grantTo("spare-role", permission(mayRead, "t", "u")).cell("grant a permission", revokeFrom("spare-role", "t", "u")),
		grantTo("spare-role", permission(mayBoth, "t", "\x00")).cell("grant a permission for all that follows", revokeFrom("spare-role", "t", "\x00")),
		grantTo("spare-role", permission(mayRead, "s", "")).cell("lower a permission", grantTo("spare-role", spare)),
		grantTo("spare-role", permission(mayRead, "u", "t")).cell("grant a permission that ends before it begins", nil),
		grantTo("spare-role", permission(mayRead, "t", "t")).cell("grant a permission that ends where it begins", nil),
		grantTo("spare-role", permission(mayRead, "", "\x00")).cell("grant a permission without a key", nil),
		grantTo("spare-role", nil).cell("grant no permission", nil),
		grantTo("absent", spare).cell("grant a permission to a role that is not there", nil),
		revokeFrom("spare-role", "s", "").cell("revoke a permission", grantTo("spare-role", spare)),
		revokeFrom("spare-role", "s", "t").cell("revoke a permission with another end", nil),
		revokeFrom("spare-role", "absent", "").cell("revoke a permission that is not granted", nil),
		revokeFrom("absent", "s", "").cell("revoke a permission from a role that is not there", nil),
		authCall(func(r *authRun, ctx context.Context) error {
			return grantTo(r.row.firstRole(), permission(mayBoth, "\x00", "\x00"))(r, ctx)
		}).cell("grant everything to one's own role", func(r *authRun, ctx context.Context) error {
			return revokeFrom(r.row.firstRole(), "\x00", "\x00")(r, ctx)
		}),
	}
}
