-- Search sets for ids that begin or end with some digits. ARGV: whole bytes of the beginning and the digit after
-- them ('' for none), whole bytes of the end and the digit before them ('' for none), the number of ids to look
-- at, the position in the first set, and names of sets. Returns the number of the set at which the next call
-- goes on, the position in it, and the ids found. Only ids are read, no messages.

local head_bytes, head_digit = ARGV[1], tonumber(ARGV[2], 16)
local tail_bytes, tail_digit = ARGV[3], tonumber(ARGV[4], 16)
local budget, place = tonumber(ARGV[5]), ARGV[6]
local PIECE = 1000
local head_length, tail_length = #head_bytes, #tail_bytes
local ids, looked_at = {}, 0

local function matches(id)
    if sub(id, -tail_length) == tail_bytes
            and (not tail_digit or byte(id, -tail_length - 1) % 16 == tail_digit) then
        return true
    end
    return sub(id, 1, head_length) == head_bytes
        and (not head_digit or math.floor(byte(id, head_length + 1) / 16) == head_digit)
end

local function scan(name)
    if name == 'leases' then return call('HSCAN', P .. name, place, 'COUNT', PIECE) end
    return call('ZSCAN', P .. name, place, 'COUNT', PIECE)
end

for number = 7, #ARGV do
    repeat
        local found
        place, found = unpack(scan(ARGV[number]))
        for i = 1, #found, 2 do
            local id = found[i]
            -- A call that failed has left ids of messages that do not exist.
            if #id == 16 and matches(id) and head(id) then ids[#ids + 1] = id end
        end
        looked_at = looked_at + #found / 2 + 1
        if looked_at >= budget then
            local is_over = place == '0'
            return {number - 6 + (is_over and 1 or 0), place, ids}
        end
    until place == '0'
end
return {#ARGV - 5, '0', ids}
