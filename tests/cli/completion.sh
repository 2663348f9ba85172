# Runs what `milc completion bash` writes the way bash does: words in COMP_WORDS, the function that
# `complete` was told of, the answers in COMPREPLY. bash completion.sh PATH_OF_MILC
milc=$1
failures=0

eval "$("$milc" completion bash)"
registered=$(complete -p milc) || exit 1
function=${registered#*-F }
function=${function%% *}

# expect 'WORD WORD ...' CANDIDATE ...: each is among what completes the last word; `!CANDIDATE` is
# not. A line that ends in a blank has an empty last word.
expect() {
  local line=$1 wanted
  shift
  read -ra COMP_WORDS <<<"${line//=/ = }"
  [[ $line == *[\ =] ]] && COMP_WORDS+=('')
  COMP_WORDS[0]=$milc
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  COMPREPLY=()
  "$function" milc "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  for wanted in "$@"; do
    local found=no
    for reply in "${COMPREPLY[@]}"; do [[ $reply == "${wanted#!}" ]] && found=yes; done
    if [[ $wanted == !* && $found == yes ]]; then
      echo "'$line' completes to ${wanted#!}"
      failures=$((failures + 1))
    elif [[ $wanted != !* && $found == no ]]; then
      echo "'$line' does not complete to $wanted, only to: ${COMPREPLY[*]}"
      failures=$((failures + 1))
    fi
  done
}

folder=$(mktemp -d)
cd "$folder" || exit 1
mkdir some_folder
touch some_file.mil 'with blank.mil'

expect 'milc ' emit check completion help --version
expect 'milc em' emit '!check'
expect 'milc emit ffn_b' ffn_bwd '!ffn_fwd_taps'
expect 'milc emit ffn_bwd hid' hidden=
expect 'milc emit --weig' --weights-from --weight-file
expect 'milc emit --weight-file ' per-weight shared '!ffn_bwd'
expect 'milc emit --weight-file=sh' shared '!per-weight'
expect 'milc emit --config ' small stories110m
expect 'milc emit ffn_bwd -o some_' some_folder '!some_file.mil'
expect 'milc ops con' conv concat '!relu'
expect 'milc explain conv.' conv.channels
expect 'milc help em' emit
expect 'milc weights some_' some_file.mil
expect 'milc weights with' 'with blank.mil'
expect 'milc completion ' bash zsh fish

cd / && rm -r "$folder"
((failures == 0)) && echo "all completed"
