# SPDX-License-Identifier: MIT
#
# Completion of mpctl for bash: commands, options, and the names that the manager knows.
_mpctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} word command='' at=()
    local i n=0
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        case $word in
        -m | --manager)
            at=(-m "${COMP_WORDS[i + 1]}")
            ((i++))
            ;;
        -t | --timeout | --key-file | --tls-*) ((i++)) ;;
        -*) ;;
        *)
            [ -n "$command" ] && ((n++))
            command=${command:-$word}
            ;;
        esac
    done
    COMPREPLY=()
    case $prev in
    --key-file | --tls-ca | --tls-cert | --tls-key)
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(mpctl --help |
            sed -n '/^Options/,$s/.*\(--[a-z-]*\).*/\1/p')" -- "$cur")
    elif [ -z "$command" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(mpctl --help |
            sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p')" -- "$cur")
    elif [ $n = 0 ]; then
        case $command in
        get | set | call | delete | watch | debug)
            mapfile -t COMPREPLY < <(compgen -W "$(mpctl "${at[@]}" list 2>/dev/null |
                awk 'NR > 1 { print $1 }')" -- "$cur")
            ;;
        methods | new)
            mapfile -t COMPREPLY < <(compgen -W "$(mpctl "${at[@]}" types 2>/dev/null |
                awk 'NR > 1 { print $1 }')" -- "$cur")
            ;;
        shutdown) mapfile -t COMPREPLY < <(compgen -W now -- "$cur") ;;
        esac
    fi
}
complete -F _mpctl mpctl
