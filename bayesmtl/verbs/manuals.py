"""The parts and their manuals."""

import argparse


def parts(args: argparse.Namespace) -> int:
    """Print the catalogue of parts, or the manual of one."""
    from bayesmtl import parts, printed

    if args.role and args.role not in parts.ROLES:
        args.misuse(f"no role called {args.role}; the roles are {', '.join(parts.ROLES)}")
    if not args.name:
        print(*printed.catalogue([args.role] if args.role else list(parts.ROLES)), sep="\n")
        return 0
    try:
        print(*printed.manual(args.role, args.name), sep="\n")
    except (ValueError, SyntaxError) as error:  # of a part of the user's own, too
        args.misuse(str(error))
    return 0
