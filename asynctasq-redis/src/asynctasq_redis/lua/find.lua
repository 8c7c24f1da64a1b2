-- Find messages. ARGV: clock offset, ids. Returns the time and, for the first ids up to MOST_BYTES, a row each
-- (rows.lua); nil if the message is not known or has ended.

local answer = {whole(clock(tonumber(ARGV[1])))}
local room = MOST_BYTES

for i = 2, #ARGV do
    local id = ARGV[i]
    local key = P .. 'm:' .. id
    local found = false
    if head(id) then
        local size = call('STRLEN', key)
        if size > room and i > 2 then break end
        room = room - size
        found = row_of(id, call('GET', key))
    end
    answer[i] = found
end
return answer
