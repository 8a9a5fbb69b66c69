# tfxc_add_model: a model as a library of the build.
#
#   tfxc_add_model(<target> SRC <model.tfx>
#                  [PREFIX <name>]
#                  [MODEL <name>]
#                  [WEIGHTS <file> | random | random:<seed>]
#                  [EXTERNAL_WEIGHTS <file>]
#                  [FLAGS <flag>...])
#
# Makes a static library <target>. What is linked with it finds the model's header, "<prefix>.h", and its functions,
# <prefix>_open and the rest:
#
#   tfxc_add_model(digits SRC digits.tfx)
#   target_link_libraries(app PRIVATE digits)      # app: #include "digits.h", digits_open(NULL, &m)
#
#   SRC               the model, relative to the source directory
#   PREFIX            begins every name that the model exports; the name of the target when it is left out. Two models of one
#                     program have different prefixes, which is checked
#   MODEL             which model of the file, when it has several
#   WEIGHTS           the weights file instead of the one that the model names, relative to the source directory; or random numbers
#   EXTERNAL_WEIGHTS  put the weights there, relative to the binary directory, and not into the library; the program gives the file
#                     to <prefix>_open in tfx_options.weights_path
#   FLAGS             more flags of tfxc. -mcpu=NAME says for which processor, --multiversion for several: without them, for the one that
#                     builds
#
# TFXC_FLAGS, a list, comes before the FLAGS of every model: cmake -DTFXC_FLAGS=-mcpu=x86-64-v3 makes a program for all processors of
# that level.
#
# The model is compiled again when its source, what that imports, the weights, the flags or tfxc itself change. Sources that include the
# header are compiled again only when the header's text changes.
include_guard(GLOBAL)
cmake_policy(PUSH)
cmake_policy(VERSION 3.22)

function(_tfxc_flag flag value out)
    if(NOT "${value}" STREQUAL "")
        list(APPEND ${out} ${flag}=${value})
        set(${out} ${${out}} PARENT_SCOPE)
    endif()
endfunction()

# Flags that tfxc_add_model gives itself.
function(_tfxc_check_flags me flags)
    foreach(flag IN LISTS flags)
        if(flag MATCHES "^(--prefix|--model|--weights|--external-weights)=")
            string(REGEX REPLACE "^--" "" keyword "${CMAKE_MATCH_1}")
            string(REPLACE - _ keyword "${keyword}")
            string(TOUPPER "${keyword}" keyword)
            message(FATAL_ERROR "${me}: '${flag}' among FLAGS: say it with ${keyword}")
        elseif(flag MATCHES "^(-o|--emit=.*|--depfile=.*|--interpret=.*)$")
            message(FATAL_ERROR "${me}: '${flag}' among FLAGS: what is written where is not for the caller to say")
        elseif(NOT flag MATCHES "^-")
            message(FATAL_ERROR "${me}: '${flag}' among FLAGS is no flag")
        elseif(flag MATCHES "\\$<")
            message(FATAL_ERROR "${me}: '${flag}' among FLAGS: a model is the same for all configurations")
        endif()
    endforeach()
    if(CMAKE_CROSSCOMPILING AND NOT "${flags}" MATCHES "(^|;)(-mcpu=|--multiversion|--target=)")
        message(FATAL_ERROR "${me}: this is a cross build: say with FLAGS or TFXC_FLAGS what for, --target=TRIPLE or "
                            "-mcpu=NAME or both")
    endif()
endfunction()

# A file that must be there, or be made by the build.
function(_tfxc_check_file me keyword path)
    get_source_file_property(generated ${path} GENERATED)
    if(NOT generated AND (NOT EXISTS ${path} OR IS_DIRECTORY ${path}))
        message(FATAL_ERROR "${me}: ${keyword}: there is no file '${path}'")
    endif()
endfunction()

function(tfxc_add_model target)
    set(me "tfxc_add_model(${target})")
    set(keywords SRC PREFIX MODEL WEIGHTS EXTERNAL_WEIGHTS)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "${keywords}" FLAGS)
    list(JOIN keywords ", " known)
    if(arg_UNPARSED_ARGUMENTS)
        list(GET arg_UNPARSED_ARGUMENTS 0 first)
        message(FATAL_ERROR "${me}: '${first}' is no keyword and belongs to none. The keywords are ${known}, FLAGS")
    elseif(arg_KEYWORDS_MISSING_VALUES)
        list(GET arg_KEYWORDS_MISSING_VALUES 0 first)
        message(FATAL_ERROR "${me}: ${first} needs a value")
    elseif(NOT arg_SRC)
        message(FATAL_ERROR "${me}: SRC is missing: the model's .tfx file")
    elseif(TARGET ${target})
        message(FATAL_ERROR "${me}: there is a target of that name already")
    endif()
    if(NOT arg_PREFIX)
        set(arg_PREFIX ${target})
    endif()
    if(NOT arg_PREFIX MATCHES "^[A-Za-z][A-Za-z0-9_]*$")
        message(FATAL_ERROR "${me}: '${arg_PREFIX}' cannot begin names in C: give another PREFIX")
    endif()
    set(flags ${TFXC_FLAGS} ${arg_FLAGS})
    _tfxc_check_flags("${me}" "${flags}")
    get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
    if(C IN_LIST languages)
        set(language C)
    elseif(CXX IN_LIST languages)
        set(language CXX)
    else()
        message(FATAL_ERROR "${me}: the project has neither C nor C++")
    endif()

    # The command line. All paths are absolute, so that messages and the dependency file are right from everywhere.
    get_filename_component(source ${arg_SRC} ABSOLUTE)
    _tfxc_check_file("${me}" SRC ${source})
    set(depends ${source} $<TARGET_FILE:tfxc::tfxc>)
    if(arg_WEIGHTS AND NOT arg_WEIGHTS MATCHES "^random(:[0-9]+)?$")
        get_filename_component(arg_WEIGHTS ${arg_WEIGHTS} ABSOLUTE)
        _tfxc_check_file("${me}" WEIGHTS ${arg_WEIGHTS})
        list(APPEND depends ${arg_WEIGHTS})
    endif()
    if(arg_EXTERNAL_WEIGHTS)
        get_filename_component(arg_EXTERNAL_WEIGHTS ${arg_EXTERNAL_WEIGHTS} ABSOLUTE BASE_DIR ${CMAKE_CURRENT_BINARY_DIR})
        get_filename_component(parent ${arg_EXTERNAL_WEIGHTS} DIRECTORY)
        file(MAKE_DIRECTORY ${parent})
    endif()
    set(dir ${CMAKE_CURRENT_BINARY_DIR}/tfxc/${target})
    set(object ${dir}/${arg_PREFIX}.o)
    set(command ${source} -o ${object} --prefix=${arg_PREFIX} --depfile=${object}.d)
    _tfxc_flag(--model "${arg_MODEL}" command)
    _tfxc_flag(--weights "${arg_WEIGHTS}" command)
    _tfxc_flag(--external-weights "${arg_EXTERNAL_WEIGHTS}" command)
    list(APPEND command ${flags})

    # Make does not look at command lines: this file changes when they do.
    get_target_property(tfxc tfxc::tfxc IMPORTED_LOCATION)
    file(GENERATE OUTPUT ${dir}/command CONTENT "${tfxc};${command}\n")

    # Of Makefiles CMake (seen in 3.25) only ever adds to what a custom command has read: a file that is imported no longer would be
    # asked for in every build once it is gone. Without this list of its own it reads the dependency file anew.
    set(forget)
    if(CMAKE_GENERATOR MATCHES "Makefiles")
        set(forget COMMAND ${CMAKE_COMMAND} -E rm -f
                           ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${target}.dir/compiler_depend.internal)
    endif()

    # tfxc writes the header beside the object, always; the one that sources include stays as it is while its text does.
    file(MAKE_DIRECTORY ${dir}/include)
    get_filename_component(shown ${source} NAME)
    add_custom_command(
        OUTPUT ${object} ${arg_EXTERNAL_WEIGHTS}
        BYPRODUCTS ${dir}/include/${arg_PREFIX}.h
        COMMAND tfxc::tfxc ${command}
        COMMAND ${CMAKE_COMMAND} -E copy_if_different ${dir}/${arg_PREFIX}.h ${dir}/include/${arg_PREFIX}.h
        ${forget}
        DEPENDS ${depends} ${dir}/command DEPFILE ${object}.d
        COMMENT "Compiling the model ${target} from ${shown}" VERBATIM)
    add_library(${target} STATIC ${object})
    set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
    set_target_properties(${target} PROPERTIES LINKER_LANGUAGE ${language})
    target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${dir}/include>)
    target_link_libraries(${target} INTERFACE m pthread)

    # Two targets that say different things here cannot be linked into one program.
    set(property TFXC_PREFIX_${arg_PREFIX}_BELONGS_TO)
    set_property(TARGET ${target} PROPERTY INTERFACE_${property} ${target})
    set_property(TARGET ${target} APPEND PROPERTY COMPATIBLE_INTERFACE_STRING ${property})
endfunction()

cmake_policy(POP)
