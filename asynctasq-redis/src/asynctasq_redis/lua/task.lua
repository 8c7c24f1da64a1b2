-- The names of tasks in messages. This file stands before the scripts that need them.

-- Return some bytes of a message, from a place on (the first is 1). `h.value` has its first bytes.
local function piece_of(id, h, from, length)
    local piece = sub(h.value, from, from + length - 1)
    if #piece == length or #h.value <= MOST_OF_A_HEAD then return piece end
    return call('GETRANGE', P .. 'm:' .. id, from - 1, from + length - 2)
end

-- Return the task of a message: the first value of its profile (msgpack); '' if it cannot be read.
local function task_of(id, h)
    local at = h.after
    if not at or band(h.flags, DAMAGED) ~= 0 then return '' end
    if band(h.flags, UNIQUE) ~= 0 then
        local length = piece_of(id, h, at, 4)
        if #length < 4 then return '' end
        at = at + 4 + unpack_from('>I4', length)
    end
    local kind, high, low = byte(piece_of(id, h, at + 3, 3), 1, 3)
    if not low then return '' end
    if kind >= 0xa0 and kind <= 0xbf then return piece_of(id, h, at + 4, kind - 0xa0) end
    if kind == 0xd9 then return piece_of(id, h, at + 5, high) end
    if kind == 0xda then return piece_of(id, h, at + 6, high * 256 + low) end
    return ''
end
