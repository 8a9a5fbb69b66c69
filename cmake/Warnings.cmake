# Warnings are errors everywhere. Generated scanners and parsers are the only sources that get fewer of them.
function(tfxc_warnings target)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes
                                             -Wmissing-prototypes -Wvla -Werror)
endfunction()
